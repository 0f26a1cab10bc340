import { readdir } from "node:fs/promises";
import path from "node:path";
import { HostFailureReason, HostPhase, RunSpec } from "@slipway/proto";
import * as assert from "uvu/assert";
import { hostBucket } from "../../src/host/choose.js";
import { StoreFullError } from "../../src/store/errors.js";
import { ask, eventually, Gate, httpRun, makeGoal, serviceScript } from "./fixtures.js";
import { hostSuite } from "./host-suite.js";

const test = hostSuite("staging before it is a host's turn");

const held = { bucketLimit: 0 };
const chosen = { bucketLimit: 10_000, issueTime: new Date() };

test("what runs goes on while the bytes come; then a raised limit only switches", async ({
  host,
  port,
}) => {
  const [one, two] = [host.stager.add(serviceScript("v1")), host.stager.add(serviceScript("v2"))];
  await host.obey(makeGoal(1, one));
  assert.ok((await host.reaches(1, HostPhase.RUNNING)).chosen);
  const gate = new Gate();
  host.stager.hooks.set(two.digest, gate.hook);
  await host.obey(makeGoal(2, two, held));
  const staging = await host.reaches(2, HostPhase.STAGING);
  assert.not(staging.chosen);
  assert.equal(staging.heldArtifactDigests, [one.digest]);
  assert.is((await ask(port))?.version, "v1");
  gate.go();
  const status = await host.reaches(2, HostPhase.HELD);
  assert.is(status.runningBuildId, "build-1");
  assert.is(status.bytesDone, two.size);
  assert.ok(status.stageDurationMs > 0);
  assert.is(status.activateDurationMs, 0);
  assert.equal(new Set(status.heldArtifactDigests), new Set([one.digest, two.digest]));
  assert.is((await ask(port))?.version, "v1");
  await host.obey(makeGoal(2, two, chosen));
  const running = await host.reaches(2, HostPhase.RUNNING);
  assert.ok(running.chosen);
  assert.is((await ask(port))?.version, "v2");
  assert.equal(host.stager.fetches, [one.digest, two.digest]);
  assert.equal(host.stager.priorities, ["urgent", "background"]);
  assert.is(running.stageDurationMs, status.stageDurationMs);
  assert.is(running.bytesFromSeeders, two.size);
});

test("a new host runs the release before, and stages the goal's beside it", async ({
  host,
  port,
}) => {
  const [one, two] = [host.stager.add(serviceScript("v1")), host.stager.add(serviceScript("v2"))];
  const { run: previous } = makeGoal(1, one);
  const [firstGate, secondGate] = [new Gate(), new Gate()];
  host.stager.hooks.set(one.digest, firstGate.hook).set(two.digest, secondGate.hook);
  await host.obey(makeGoal(2, two, { ...held, previous }));
  await eventually("both fetches", () => firstGate.waits + secondGate.waits === 2);
  secondGate.go();
  await host.reaches(2, HostPhase.HELD);
  assert.is(await ask(port), undefined);
  firstGate.go();
  await eventually("v1", async () => (await ask(port))?.version === "v1");
  await eventually("v1 to be reported", () => host.status().runningBuildId === "build-1");
  assert.is(host.status().phase, HostPhase.HELD);
  assert.is(host.status().bytesDone, two.size, "what is told is of the goal's release");
  await host.obey(makeGoal(2, two, { ...chosen, previous }));
  await host.reaches(2, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v2");
  assert.is(host.stager.fetches.length, 2);
});

test("a release before that fails says so beside what is held, and is not tried again", async ({
  host,
}) => {
  const run = httpRun({ command: ["./missing"] });
  const { run: previous } = makeGoal(1, { ...host.stager.add("old"), run });
  const two = host.stager.add(serviceScript("v2"));
  await host.obey(makeGoal(2, two, { ...held, previous }));
  const told = (): boolean =>
    host.status().phase === HostPhase.HELD &&
    host.status().failure?.reason === HostFailureReason.START_FAILED;
  await eventually("the failure", told);
  await host.obey(makeGoal(2, two, { bucketLimit: 1, previous, issueTime: new Date() }));
  assert.ok(told());
  await host.obey(
    makeGoal(2, two, { ...chosen, previous, issueTime: new Date(Date.now() + 1_000) }),
  );
  assert.is((await host.reaches(2, HostPhase.RUNNING)).failure, undefined);
});

test("a limit that rises above others disturbs nothing", async ({ host }) => {
  const one = host.stager.add(serviceScript("v1"));
  const gate = new Gate();
  host.stager.hooks.set(one.digest, gate.hook);
  const bucket = hostBucket("h1", "deployment-1");
  const raise = (limit: number, at: number) =>
    host.obey(makeGoal(1, one, { bucketLimit: limit, issueTime: new Date(Date.now() + at) }));
  await raise(bucket - 2, 0);
  await host.reaches(1, HostPhase.STAGING);
  await raise(bucket - 1, 1);
  await raise(bucket, 2);
  assert.equal([gate.waits, gate.ends], [1, 0]);
  assert.not(host.status().chosen);
  await raise(bucket + 1, 3);
  await eventually("the more urgent fetch", () => gate.waits === 2 && gate.ends === 1);
  assert.ok(host.status().chosen);
  assert.equal(host.stager.priorities, ["background", "urgent"]);
  await raise(bucket + 2, 4);
  gate.go();
  await host.reaches(1, HostPhase.RUNNING);
  assert.equal([gate.waits, gate.ends], [2, 1]);
});

test("a goal that is superseded is dropped, while it comes and after", async ({
  host,
  port,
  folder,
}) => {
  const [one, two] = [host.stager.add("never comes"), host.stager.add(serviceScript("v2"))];
  const gate = new Gate();
  host.stager.hooks.set(one.digest, gate.hook);
  await host.obey(makeGoal(1, one, held));
  await host.reaches(1, HostPhase.STAGING);
  await host.obey(makeGoal(2, two));
  await host.reaches(2, HostPhase.RUNNING);
  assert.is(gate.ends, 1);
  assert.is((await ask(port))?.version, "v2");
  for (const generation of [3, 4, 5]) {
    const artifact = host.stager.add(serviceScript(`v${generation}`));
    await host.obey(makeGoal(generation, artifact, held));
    await host.reaches(generation, HostPhase.HELD);
  }
  const folders = () => readdir(path.join(folder, "apps/web/releases"));
  await eventually("what was staged before to go", async () => (await folders()).length === 2);
});

test("what cannot be staged is told in STAGING, and tried again", async ({ host }) => {
  const one = host.stager.add(serviceScript("v1"));
  let tries = 0;
  host.stager.hooks.set(one.digest, () => {
    tries += 1;
    return tries === 1 ? Promise.reject(new StoreFullError("no room")) : Promise.resolve();
  });
  await host.obey(makeGoal(1, one, held));
  const { failure } = await eventually("the failure", () => {
    const status = host.status();
    return status.phase === HostPhase.STAGING && status.failure !== undefined && status;
  });
  assert.is(failure?.reason, HostFailureReason.DISK_FULL);
  assert.is((await host.reaches(1, HostPhase.HELD)).failure, undefined);
  const bad = host.stager.add("not a tar");
  const run = RunSpec.fromPartial({ ...httpRun(), artifactFormat: 2 });
  await host.obey(makeGoal(2, { ...bad, run }, held));
  const reason = () => host.status().failure?.reason;
  await eventually("the damage", () => reason() === HostFailureReason.UNPACK_FAILED);
  assert.is(host.status().phase, HostPhase.STAGING);
  await host.obey(makeGoal(2, { ...bad, run }, chosen));
  const failed = await host.reaches(2, HostPhase.FAILED);
  assert.is(failed.failure?.reason, HostFailureReason.UNPACK_FAILED);
});

test("older releases that the store still has move no bytes", async ({ host, port }) => {
  const versions = ["v1", "v2", "v3", "v4"].map((name) => host.stager.add(serviceScript(name)));
  for (const [at, version] of versions.entries()) {
    await host.obey(makeGoal(at + 1, version));
    await host.reaches(at + 1, HostPhase.RUNNING);
  }
  const [first, second] = versions as [{ digest: string; size: number }, { digest: string }];
  const digests = versions.map(({ digest }) => digest);
  assert.equal(new Set(host.status().heldArtifactDigests), new Set(digests));
  assert.is(host.status().heldArtifactDigests[0], digests[3], "what runs comes first");
  host.stager.store.collect = () => {
    host.stager.drop(second.digest);
    return Promise.resolve({ removed: [second.digest], freedBytes: 1, remainingBytes: 0 });
  };
  await host.obey(makeGoal(5, first));
  const back = await host.reaches(5, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v1");
  assert.is(back.bytesFromLocal, first.size);
  assert.is(host.stager.fetches.length, 4);
  await eventually(
    "what was collected to be told of no more",
    () => !host.status().heldArtifactDigests.includes(second.digest),
  );
});

test("the health check's time begins after the download", async ({ host }) => {
  const one = host.stager.add(serviceScript("v1"));
  const gate = new Gate();
  host.stager.hooks.set(one.digest, gate.hook);
  await host.obey(makeGoal(1, { ...one, run: httpRun({ deadlineMs: 2_000 }) }));
  await host.reaches(1, HostPhase.STAGING);
  const told = Date.now();
  await eventually("more than the deadline", () => Date.now() - told > 2_100);
  gate.go();
  const { stageDurationMs, activateDurationMs } = await host.reaches(1, HostPhase.RUNNING);
  assert.ok(stageDurationMs > 2_000 && activateDurationMs >= stageDurationMs);
});

test.run();
