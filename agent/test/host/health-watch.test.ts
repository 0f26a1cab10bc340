import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { HostFailureReason, HostPhase } from "@slipway/proto";
import * as assert from "uvu/assert";
import { ask, eventually, httpRun, makeGoal, serviceScript, TestHost } from "./fixtures.js";
import { hostSuite, type HostContext } from "./host-suite.js";

const test = hostSuite("a release's health after it was healthy", {}, (folder) => ({
  /** While it is there, the release is not healthy. It is removed when the release starts. */
  bad: path.join(folder, "bad"),
}));

function moody(bad: string): string {
  return serviceScript("v1")
    .replace("console.log", `require("node:fs").rmSync("${bad}", { force: true });\nconsole.log`)
    .replace(
      "response.end",
      `if (require("node:fs").existsSync("${bad}")) response.statusCode = 500;\n  response.end`,
    );
}

const reason = (host: TestHost) => host.status().failure?.reason;

test("is told beside RUNNING when it turns, and when it is good again", async ({
  host,
  port,
  bad,
}) => {
  await host.obey(makeGoal(1, host.stager.add(moody(bad))));
  await host.reaches(1, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid;
  await writeFile(bad, "");
  await eventually("the trouble", () => reason(host) === HostFailureReason.UNHEALTHY);
  assert.is(host.status().phase, HostPhase.RUNNING);
  assert.match(host.status().failure?.message ?? "", /not any more: .*status 500/);
  await rm(bad);
  await eventually("its end", () => host.status().failure === undefined);
  assert.is((await ask(port))?.pid, pid);
});

test("that is bad for as long as it had to become healthy is started anew", async ({
  host,
  port,
  bad,
}) => {
  await host.obey(
    makeGoal(1, { ...host.stager.add(moody(bad)), run: httpRun({ deadlineMs: 5_000 }) }),
  );
  await host.reaches(1, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid;
  await writeFile(bad, "");
  await eventually("the trouble", () => reason(host) === HostFailureReason.UNHEALTHY);
  assert.is((await ask(port))?.pid, pid);
  await eventually("another process", async () => {
    const answer = await ask(port);
    return answer !== undefined && answer.pid !== pid;
  });
  await eventually("that it exited alone", () => reason(host) === HostFailureReason.EXITED);
  assert.is(host.status().phase, HostPhase.RUNNING);
});

test("is watched under the next agent as well, where the goal's release is held", async ({
  host,
  port,
  folder,
  bad,
  hosts,
}) => {
  await host.obey(makeGoal(1, host.stager.add(moody(bad))));
  await host.reaches(1, HostPhase.RUNNING);
  await host.obey(makeGoal(2, host.stager.add(serviceScript("v2")), { bucketLimit: 0 }));
  await host.reaches(2, HostPhase.HELD);
  await host.applications.stop({ stopReleases: false });
  await writeFile(bad, "");
  const next = new TestHost(folder, port, host);
  hosts.push(next);
  await next.applications.start();
  await next.reaches(2, HostPhase.HELD);
  await eventually("the trouble", () => reason(next) === HostFailureReason.UNHEALTHY);
  assert.is(next.status().phase, HostPhase.HELD);
});

/** The next agent has the release that the one before left running. */
async function succeed({ folder, port, host, hosts }: HostContext): Promise<TestHost> {
  await host.applications.stop({ stopReleases: false });
  const next = new TestHost(folder, port, host);
  hosts.push(next);
  await next.applications.start();
  return next;
}

const exited = (host: TestHost) => reason(host) === HostFailureReason.EXITED;

async function killRelease(port: number): Promise<void> {
  const answer = await ask(port);
  assert.ok(answer);
  process.kill(answer.pid, "SIGKILL");
}

test("exits under an earlier goal are none of the next one's, which has the same release", async (context) => {
  const { host, port } = context;
  const release = { ...host.stager.add(serviceScript("v1")), buildId: "same" };
  await host.obey(makeGoal(1, release));
  await host.reaches(1, HostPhase.RUNNING);
  const next = await succeed(context);
  await next.reaches(1, HostPhase.RUNNING);
  await killRelease(port);
  await eventually("the exit", () => exited(next));
  assert.match(next.status().failure?.message ?? "", /exited once .* unknown exit code/);
  await next.obey(makeGoal(2, release));
  const kept = await next.reaches(2, HostPhase.RUNNING);
  assert.is(kept.failure, undefined);
  assert.ok(await ask(port), "it says that it runs only once it does again");
  // What the limit says of others begins nothing anew.
  await killRelease(port);
  await eventually("an exit of its own", () => exited(next));
  await next.obey(makeGoal(2, release, { issueTime: new Date(1_800_000_000_000) }));
  assert.ok(exited(next));
  assert.match(next.status().failure?.message ?? "", /exited once /);
});

test("a release that keeps exiting does not run for the next goal either", async (context) => {
  const { host, bad } = context;
  const release = {
    ...host.stager.add(
      serviceScript("v1").replace(
        "console.log",
        `if (require("node:fs").existsSync("${bad}")) process.exit(9);\nconsole.log`,
      ),
    ),
    buildId: "same",
  };
  await host.obey(makeGoal(1, release));
  await host.reaches(1, HostPhase.RUNNING);
  await writeFile(bad, "");
  await killRelease(context.port);
  await eventually("more exits than are waited for", () =>
    /exited [4-9] times/.test(host.status().failure?.message ?? ""),
  );
  await host.obey(makeGoal(2, release));
  await host.reaches(2, HostPhase.ACTIVATING);
  await eventually("what it is kept from", () => exited(host));
  assert.is(host.status().phase, HostPhase.ACTIVATING);
  await rm(bad);
  const { failure } = await host.reaches(2, HostPhase.RUNNING);
  assert.is(failure, undefined);
});

test.run();
