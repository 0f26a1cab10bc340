import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { HostFailureReason, HostPhase } from "@slipway/proto";
import * as assert from "uvu/assert";
import { Forgotten } from "../../src/host/forgotten.js";
import { ask, eventually, log, makeGoal, serviceScript, TestHost } from "./fixtures.js";
import { hostSuite } from "./host-suite.js";

const test = hostSuite("applications that go", { labels: { tier: "front" } });

const left = async (folder: string) => (await readdir(path.join(folder, "apps/web"))).sort();
const removal = (generation: number) =>
  makeGoal(generation, { digest: "", size: 0 }, { removed: true, run: undefined });

test("a removed one is stopped and forgotten, but for the order and the log", async ({
  host,
  port,
  folder,
  hosts,
}) => {
  const artifact = host.stager.add(serviceScript("v1"));
  await host.obey(makeGoal(1, artifact));
  await host.reaches(1, HostPhase.RUNNING);
  const collected: boolean[] = [];
  host.stager.store.collect = (keep) => {
    collected.push(keep.has(artifact.digest));
    return Promise.resolve({ removed: [], freedBytes: 0, remainingBytes: 0 });
  };
  await host.obey(removal(2));
  await host.forgets();
  assert.is(
    host.applications.statuses().find(({ application }) => application === "web"),
    undefined,
  );
  assert.is(await ask(port), undefined);
  // The collection that follows its activation may come only now, and still kept it.
  assert.is(collected.at(-1), false);
  assert.equal(await left(folder), ["logs", "obeyed.json"]);
  assert.match(
    await readFile(path.join(folder, "apps/web/logs/current.log"), "utf8"),
    /serving v1/,
  );
  const older = { application: "web", generation: 1, issueTime: new Date(), selector: {} };
  assert.not(host.applications.wants({ ...older, removed: false }));
  assert.ok(host.applications.wants({ ...older, generation: 3, removed: false }));
  assert.not(host.applications.wants({ ...older, generation: 3, removed: true }));

  // The next agent neither.
  await host.applications.stop({ stopReleases: true });
  const next = new TestHost(folder, port, host);
  hosts.push(next);
  await next.applications.start();
  assert.equal(next.applications.statuses(), []);
  await next.obey(makeGoal(1, artifact));
  assert.is(next.status().failure?.reason, HostFailureReason.GOAL_REFUSED);
  assert.match(next.status().failure?.message ?? "", /older/);
  assert.is(await ask(port), undefined);
  await next.obey(makeGoal(3, artifact));
  await next.reaches(3, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v1");
});

test("a goal that does not take the host any more has it forget; one that does not know it, not", async ({
  host,
  port,
}) => {
  const artifact = host.stager.add(serviceScript("v1"));
  const front = { selector: { tier: "front" } };
  const back = { selector: { tier: "back" } };
  await host.obey(makeGoal(1, artifact, back));
  assert.equal(host.applications.statuses(), []);
  const version = { application: "web", issueTime: new Date(), removed: false, ...back };
  assert.not(host.applications.wants({ ...version, generation: 2 }));
  await host.obey(makeGoal(2, artifact, front));
  await host.reaches(2, HostPhase.RUNNING);
  assert.ok(host.applications.wants({ ...version, generation: 3 }));
  await host.obey(makeGoal(1, artifact, back));
  assert.is(host.status().failure?.reason, HostFailureReason.GOAL_REFUSED);
  assert.is((await ask(port))?.version, "v1");
  await host.obey(makeGoal(3, artifact, back));
  await host.forgets();
  assert.is(await ask(port), undefined);
});

test("a host with other labels forgets at its start; with its old ones it comes back", async ({
  host,
  port,
  folder,
  hosts,
}) => {
  const artifact = host.stager.add(serviceScript("v1"));
  const goal = makeGoal(1, artifact, { selector: { tier: "front" } });
  await host.obey(goal);
  await host.reaches(1, HostPhase.RUNNING);
  await host.applications.stop({ stopReleases: false });
  assert.is((await ask(port))?.version, "v1");
  const { signer, stager } = host;
  const other = new TestHost(folder, port, { signer, stager, labels: { tier: "back" } });
  hosts.push(other);
  await other.applications.start();
  await other.forgets();
  assert.is(await ask(port), undefined);
  await other.applications.stop({ stopReleases: true });
  const again = new TestHost(folder, port, { signer, stager, labels: { tier: "front" } });
  hosts.push(again);
  await again.applications.start();
  await again.obey(goal);
  await again.reaches(1, HostPhase.RUNNING);
});

test("a goal that comes while it goes brings it back", async ({ host, port }) => {
  const stubborn = serviceScript("v1").replace(
    'console.log("serving',
    'process.on("SIGTERM", () => console.log("told to stop"));\nconsole.log("serving',
  );
  const artifact = host.stager.add(stubborn);
  await host.obey(makeGoal(1, artifact));
  await host.reaches(1, HostPhase.RUNNING);
  await host.obey(removal(2));
  await host.obey(makeGoal(3, artifact));
  await host.reaches(3, HostPhase.RUNNING);
  await eventually("v1", async () => (await ask(port))?.version === "v1");
  await host.obey(removal(4));
  await host.forgets();
  await host.obey(makeGoal(5, artifact));
  await host.reaches(5, HostPhase.RUNNING);
});

test("logs of what went stay 14 days", async ({ host, folder }) => {
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  await host.obey(removal(2));
  await host.forgets();
  const forgotten = new Forgotten(path.join(folder, "apps"), () => false);
  assert.equal(await forgotten.load(log), []);
  const day = 86_400_000;
  await forgotten.sweep(Date.now() + 13 * day);
  assert.equal(await left(folder), ["logs", "obeyed.json"]);
  await forgotten.sweep(Date.now() + 14 * day + 1_000);
  assert.equal(await left(folder), ["obeyed.json"]);
});

test.run();
