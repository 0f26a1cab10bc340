import { mkdir, readFile, readdir, readlink, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { once } from "node:events";
import { HostFailureReason, HostPhase, RunSpec, SignedGoal } from "@slipway/proto";
import * as assert from "uvu/assert";
import {
  ask,
  eventually,
  GoalSigner,
  httpRun,
  makeGoal,
  serviceScript,
  TestHost,
} from "./fixtures.js";
import { hostSuite } from "./host-suite.js";

const test = hostSuite("an application on a host");

const current = (folder: string) => readlink(path.join(folder, "apps/web/current"));

test("goes from a goal to running, with its environment", async ({ host, port, folder }) => {
  const artifact = host.stager.add(serviceScript("v1"));
  await host.obey(makeGoal(1, artifact));
  const status = await host.reaches(1, HostPhase.RUNNING);
  assert.is(status.runningBuildId, "build-1");
  assert.is(status.bytesDone, artifact.size);
  assert.is(status.bytesFromSeeders, artifact.size);
  assert.ok(status.activateDurationMs >= status.stageDurationMs && status.stageDurationMs > 0);
  const answer = await ask(port);
  assert.is(answer?.version, "v1");
  assert.is(answer?.env["SLIPWAY_HOST_ID"], "h1");
  assert.is(answer?.env["SLIPWAY_COMMIT_SHA"], "c0ffee");
  assert.is(answer?.env["TEST_LOG_LEVEL"], undefined);
  assert.match(await current(folder), /^releases\//);
  assert.match(
    await readFile(path.join(folder, "apps/web/logs/current.log"), "utf8"),
    /serving v1/,
  );
});

test("puts back a release that does not become healthy, and does not flap", async ({
  host,
  port,
  folder,
}) => {
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  const before = await current(folder);
  const deaf = host.stager.add("#!/usr/bin/env node\nsetInterval(() => {}, 1000);\n");
  await host.obey(makeGoal(2, { ...deaf, run: httpRun({ deadlineMs: 400 }) }));
  const failed = await host.reaches(2, HostPhase.FAILED);
  assert.is(failed.failure?.reason, HostFailureReason.UNHEALTHY);
  assert.match(failed.failure?.message ?? "", /400 ms.*(ECONNREFUSED|exited)/);
  assert.is(failed.runningBuildId, "build-1");
  await eventually("v1 again", async () => (await ask(port))?.version === "v1");
  assert.is(await current(folder), before);
  // The same generation, issued again: known to fail here.
  const { fetches } = host.stager;
  const again = makeGoal(
    2,
    { ...deaf, run: httpRun({ deadlineMs: 400 }) },
    { issueTime: new Date() },
  );
  const pid = (await ask(port))?.pid;
  await host.obey(again);
  await eventually("the goal to be written down", async () => {
    const obeyed = await readFile(path.join(folder, "apps/web/obeyed.json"), "utf8");
    return obeyed.includes(String(again.issueTime?.getTime()));
  });
  await host.applications.offer("web", Buffer.alloc(0));
  assert.is(host.status().phase, HostPhase.FAILED);
  assert.is((await ask(port))?.pid, pid);
  assert.is(fetches.length, 2);
});

test("puts back what ran also while nothing can be written down", async ({
  host,
  port,
  folder,
}) => {
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  const deaf = host.stager.add("#!/usr/bin/env node\nsetInterval(() => {}, 1000);\n");
  await host.obey(makeGoal(2, { ...deaf, run: httpRun({ deadlineMs: 1_000 }) }));
  await host.reaches(2, HostPhase.ACTIVATING);
  await eventually("v1 to be gone", async () => (await ask(port)) === undefined);
  const inTheWay = path.join(folder, "apps/web/state.json.tmp");
  await mkdir(inTheWay);
  await eventually("v1 again", async () => (await ask(port))?.version === "v1");
  await rm(inTheWay, { recursive: true });
  const failed = await host.reaches(2, HostPhase.FAILED);
  assert.is(failed.failure?.reason, HostFailureReason.UNHEALTHY);
  assert.is((await ask(port))?.version, "v1");
});

test("says why a release failed", async ({ host }) => {
  const cases: [string, RunSpec, HostFailureReason, RegExp][] = [
    [
      "#!/usr/bin/env node\nconsole.error('no such table'); process.exit(3);\n",
      httpRun(),
      HostFailureReason.EXITED,
      /exited 3 times .*exit code 3.*no such table/s,
    ],
    ["x", httpRun({ command: ["./missing"] }), HostFailureReason.START_FAILED, /missing/],
    [
      "x",
      httpRun({ command: ["./service", "${NOWHERE}"] }),
      HostFailureReason.START_FAILED,
      /NOWHERE/,
    ],
    [
      "x",
      RunSpec.fromPartial({ ...httpRun(), executableName: "../x" }),
      HostFailureReason.UNPACK_FAILED,
      /file name/,
    ],
    [
      "not a tar",
      RunSpec.fromPartial({ ...httpRun(), artifactFormat: 2 }),
      HostFailureReason.UNPACK_FAILED,
      /tar/,
    ],
  ];
  let generation = 0;
  for (const [script, run, reason, message] of cases) {
    generation += 1;
    await host.obey(
      makeGoal(generation, { ...host.stager.add(`${script}\n//${generation}`), run }),
    );
    const { failure, runningBuildId } = await host.reaches(generation, HostPhase.FAILED);
    assert.is(failure?.reason, reason, JSON.stringify(failure));
    assert.match(failure?.message ?? "", message);
    assert.is(runningBuildId, "");
  }
});

test("goes back without a download, and without a restart where nothing changed", async ({
  host,
  port,
  folder,
}) => {
  const [one, two] = [host.stager.add(serviceScript("v1")), host.stager.add(serviceScript("v2"))];
  await host.obey(makeGoal(1, one));
  await host.reaches(1, HostPhase.RUNNING);
  await host.obey(makeGoal(2, two));
  await host.reaches(2, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v2");
  await host.obey(makeGoal(3, { ...one, buildId: "build-1" }));
  const back = await host.reaches(3, HostPhase.RUNNING);
  const answer = await ask(port);
  assert.is(answer?.version, "v1");
  assert.is(back.bytesFromLocal, one.size);
  assert.equal(host.stager.fetches, [one.digest, two.digest]);
  await host.obey(makeGoal(4, { ...one, buildId: "other" }));
  const same = await host.reaches(4, HostPhase.RUNNING);
  assert.is(same.runningBuildId, "other");
  assert.is((await ask(port))?.pid, answer?.pid);
  assert.is((await readdir(path.join(folder, "apps/web/releases"))).length, 2);
});

test("a newer goal ends what is under way for the older one", async ({ host, port }) => {
  const stuck = host.stager.add("never comes");
  host.stager.hooks.set(stuck.digest, async (signal) => {
    await once(signal, "abort");
    throw signal.reason;
  });
  await host.obey(makeGoal(1, stuck));
  await host.reaches(1, HostPhase.STAGING);
  await host.obey(
    makeGoal(2, host.stager.add("#!/usr/bin/env node\nsetInterval(() => {}, 1000);\n")),
  );
  await host.reaches(2, HostPhase.ACTIVATING);
  await host.obey(makeGoal(3, host.stager.add(serviceScript("v3"))));
  await host.reaches(3, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v3");
});

test("a download that fails is reported and tried again", async ({ host }) => {
  const artifact = host.stager.add(serviceScript("v1"));
  let failures = 0;
  host.stager.hooks.set(artifact.digest, () => {
    failures += 1;
    return failures === 1 ? Promise.reject(new Error("no peer")) : Promise.resolve();
  });
  await host.obey(makeGoal(1, artifact));
  await eventually("a reported failure", () => {
    const { phase, failure } = host.status();
    return phase === HostPhase.STAGING && failure?.reason === HostFailureReason.DOWNLOAD_FAILED;
  });
  const status = await host.reaches(1, HostPhase.RUNNING);
  assert.is(status.failure, undefined);
});

test("refuses what it must not obey, and what runs is not disturbed", async ({ host, port }) => {
  const one = host.stager.add(serviceScript("v1"));
  await host.obey(makeGoal(5, one));
  await host.reaches(5, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid;
  const two = host.stager.add(serviceScript("v2"));
  const next = makeGoal(6, two);
  const unsigned = { ...host.signer.sign(next), signature: Buffer.alloc(0), keyId: "" };
  const { GOAL_REFUSED, GOAL_KEY_NOT_TRUSTED } = HostFailureReason;
  const refused: [Buffer, RegExp, HostFailureReason?][] = [
    [host.signer.bytes(makeGoal(4, two)), /older/],
    [host.signer.bytes(makeGoal(5, two, { issueTime: new Date(1) })), /older/],
    [new GoalSigner().bytes(next), /key is not trusted/, GOAL_KEY_NOT_TRUSTED],
    [Buffer.from(SignedGoal.encode(unsigned).finish()), /not signed/],
    [
      Buffer.from(
        SignedGoal.encode({ ...host.signer.sign(next), signature: Buffer.alloc(64) }).finish(),
      ),
      /signature/,
    ],
    [host.signer.bytes({ ...next, region: "us" }), /region "us"/],
    [host.signer.bytes({ ...next, application: "api" }), /application "api"/],
    [host.signer.bytes({ ...next, bucketLimit: 10_001 }), /bucket limit/],
    [Buffer.from([0xff, 0xff]), /decoded/],
  ];
  for (const [bytes, message, reason = GOAL_REFUSED] of refused) {
    await host.applications.offer("web", bytes);
    const { phase, generation, failure } = host.status();
    assert.is(failure?.reason, reason);
    assert.match(failure?.message ?? "", message);
    assert.is(phase, HostPhase.RUNNING);
    assert.is(generation, 5);
  }
  assert.is((await ask(port))?.pid, pid);
  await host.applications.offer("other", Buffer.from([0xff]));
  const stranger = host.applications.statuses().find(({ application }) => application === "other");
  assert.is(stranger?.failure?.reason, HostFailureReason.GOAL_REFUSED);
  await host.obey(next);
  assert.is((await host.reaches(6, HostPhase.RUNNING)).failure, undefined);
});

test("a name that is a path is no application, although the fleet has signed it", async ({
  host,
  folder,
}) => {
  const release = host.stager.add(serviceScript("v1"));
  const there = async (): Promise<string[]> => (await readdir(folder, { recursive: true })).sort();
  const before = await there();
  const names = ["../../escaped", "/tmp/slipway-escaped", "a/b", "..", ".", "", "a\0b", "A", "-x"];
  for (const application of names) {
    await host.applications.offer(
      application,
      host.signer.bytes({ ...makeGoal(1, release), application }),
    );
    const said = host.applications.statuses().find((each) => each.application === application);
    assert.is(said?.failure?.reason, HostFailureReason.GOAL_REFUSED, application);
  }
  assert.equal(await there(), before);
});

test("a release that crashes is started again", async ({ host, port }) => {
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid as number;
  process.kill(pid, "SIGKILL");
  await eventually("another process", async () => {
    const answer = await ask(port);
    return answer !== undefined && answer.pid !== pid;
  });
  const { phase, failure } = host.status();
  assert.is(phase, HostPhase.RUNNING);
  assert.is(failure?.reason, HostFailureReason.EXITED);
  assert.match(
    failure?.message ?? "",
    /exited once since it was healthy, last with signal SIGKILL/,
  );
});

test("the next agent takes over what runs, and obeys no older goal", async (context) => {
  const { host, port, folder, hosts } = context;
  const artifact = host.stager.add(serviceScript("v1"));
  await host.obey(makeGoal(7, artifact));
  await host.reaches(7, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid;
  await host.applications.stop({ stopReleases: false });
  assert.is((await ask(port))?.pid, pid);
  const next = new TestHost(folder, port, host);
  hosts.push(next);
  await next.applications.start();
  await next.reaches(7, HostPhase.RUNNING);
  assert.is((await ask(port))?.pid, pid);
  await next.obey(makeGoal(6, host.stager.add(serviceScript("v0"))));
  assert.is(next.status().failure?.reason, HostFailureReason.GOAL_REFUSED);
  // With a damaged state the process and the order are still known.
  await next.applications.stop({ stopReleases: false });
  await writeFile(path.join(folder, "apps/web/state.json"), "{");
  const third = new TestHost(folder, port, host);
  hosts.push(third);
  await third.applications.start();
  await third.obey(makeGoal(6, host.stager.add(serviceScript("v0"))));
  assert.match(third.status().failure?.message ?? "", /older/);
  await third.obey(makeGoal(7, artifact));
  await third.reaches(7, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v1");
});

test.run();
