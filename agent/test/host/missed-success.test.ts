import { readFile } from "node:fs/promises";
import path from "node:path";
import { HOST_BUCKETS, HostFailureReason, HostPhase, type Goal } from "@slipway/proto";
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { FailureRecord, ReleaseRecord } from "../../src/host/application-state.js";
import { hostBucket } from "../../src/host/choose.js";
import { chooseTarget, releaseInForce } from "../../src/host/target.js";
import { ask, eventually, httpRun, makeGoal, serviceScript, TestHost } from "./fixtures.js";
import { hostSuite } from "./host-suite.js";

const test = hostSuite("a success that a host was away for");

/** One deployment of the model. Its release is named by its generation. */
interface Deployed {
  generation: number;
  previousGeneration: number;
  limit: number;
  succeeded: boolean;
}

/** One host of the model, with as much of its state as decides. */
class ModelHost {
  readonly hostId: string;
  isAway = false;
  active: Pick<ReleaseRecord, "generation"> | undefined;
  /** The generation whose release runs. */
  runs = 0;
  failed: FailureRecord | undefined;

  constructor(hostId: string) {
    this.hostId = hostId;
  }

  obey(goal: Goal, isBad: (generation: number) => boolean): void {
    const { generation, previousGeneration } = goal;
    const known = this.failed?.generation;
    if (known !== generation && known !== previousGeneration) this.failed = undefined;
    const given = { goal, run: goal.run, signed: Buffer.alloc(0), keyId: "" };
    const target = chooseTarget({ hostId: this.hostId, labels: {} }, given, this);
    if (target.kind === "run") {
      if (!isBad(generation)) this.#run(generation);
      else {
        this.failed = { generation, reason: HostFailureReason.UNHEALTHY, message: "" };
        this.#catchUp(goal, isBad);
      }
    } else if (target.kind === "failed") this.#catchUp(goal, isBad);
    else if (
      target.kind === "hold" &&
      target.meanwhile !== undefined &&
      !isBad(previousGeneration)
    ) {
      this.#run(previousGeneration);
    }
  }

  #catchUp(goal: Goal, isBad: (generation: number) => boolean): void {
    const isMissing = releaseInForce(goal, this) !== undefined;
    if (isMissing && !isBad(goal.previousGeneration)) this.#run(goal.previousGeneration);
  }

  #run(generation: number): void {
    this.active = { generation };
    this.runs = generation;
  }
}

type Happening =
  | { type: "deploy" }
  | { type: "raise"; percent: number }
  | { type: "succeed" }
  | { type: "away" | "back"; host: number };

const HOSTS = 6;
const hosts = fc.nat(HOSTS - 1);
const happenings = fc.array(
  fc.oneof(
    fc.constantFrom<Happening>({ type: "deploy" }, { type: "succeed" }),
    fc.nat(100).map((percent): Happening => ({ type: "raise", percent })),
    hosts.map((host): Happening => ({ type: "away", host })),
    hosts.map((host): Happening => ({ type: "back", host })),
  ),
  { maxLength: 40 },
);

function goalOf({ generation, previousGeneration, limit }: Deployed): Goal {
  const release = { digest: `sha256:${"0".repeat(64)}`, size: 1 };
  const { run: previous } = makeGoal(previousGeneration, release);
  return makeGoal(generation, release, {
    bucketLimit: limit,
    previousGeneration,
    previous: previousGeneration === 0 ? undefined : previous,
  });
}

test("whoever was away for whatever, no host that is back runs what is older than the last success", () => {
  const bad = fc.uniqueArray(fc.tuple(hosts, fc.integer({ min: 1, max: 12 })), { maxLength: 4 });
  fc.assert(
    fc.property(happenings, bad, (happening, failures) => {
      const fleet = Array.from({ length: HOSTS }, (_, index) => new ModelHost(`host-${index}`));
      const deployments: Deployed[] = [];
      const isBad = (host: ModelHost) => (generation: number) =>
        failures.some(([index, one]) => fleet[index] === host && one === generation);
      const hear = (): void => {
        const newest = deployments.at(-1);
        if (newest === undefined) return;
        for (const host of fleet) if (!host.isAway) host.obey(goalOf(newest), isBad(host));
      };
      for (const event of happening) {
        const newest = deployments.at(-1);
        if (event.type === "deploy") {
          const last = deployments.findLast(({ succeeded }) => succeeded);
          deployments.push({
            generation: (newest?.generation ?? 0) + 1,
            previousGeneration: last?.generation ?? 0,
            limit: 0,
            succeeded: false,
          });
        } else if (event.type === "raise" && newest !== undefined) {
          newest.limit = Math.max(newest.limit, (event.percent / 100) * HOST_BUCKETS);
        } else if (event.type === "succeed" && newest !== undefined) {
          // Somebody accepted that some of its hosts are silent.
          newest.limit = HOST_BUCKETS;
          hear();
          newest.succeeded = true;
        } else if (event.type === "away" || event.type === "back") {
          const host = fleet[event.host];
          if (host !== undefined) host.isAway = event.type === "away";
        }
        hear();
      }
      for (const host of fleet) host.isAway = false;
      hear();
      const last = deployments.findLast(({ succeeded }) => succeeded)?.generation ?? 0;
      for (const host of fleet) {
        if (last === 0 || isBad(host)(last)) continue;
        assert.ok(host.runs >= last, `${host.hostId} runs ${host.runs}, and ${last} has succeeded`);
        const own = deployments.find(({ generation }) => generation === host.runs);
        const bucket = hostBucket(host.hostId, `deployment-${host.runs}`);
        const told = host.runs === last || bucket < (own?.limit ?? 0);
        assert.ok(told, `nobody told ${host.hostId} to run ${host.runs}`);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("what a host is to run until a goal takes it", () => {
  const { run: previous } = makeGoal(2, { digest: `sha256:${"0".repeat(64)}`, size: 1 });
  const failed = { generation: 2, reason: HostFailureReason.UNHEALTHY, message: "" };
  const cases: [what: string, active: number | undefined, failedIs: boolean, isMissed: boolean][] =
    [
      ["a new host", undefined, false, true],
      ["one that missed the success", 1, false, true],
      ["one on which it failed", 1, true, false],
      ["one that runs it", 2, false, false],
      ["one that a later goal told to run something", 3, false, false],
    ];
  for (const [what, generation, hasFailed, isMissed] of cases) {
    const active = generation === undefined ? undefined : { generation };
    const state = { active, failed: hasFailed ? failed : undefined };
    const found = releaseInForce({ previous, previousGeneration: 2 }, state);
    assert.is(found, isMissed ? previous : undefined, what);
    // A coordinator that does not say leaves what runs alone.
    const unsaid = releaseInForce({ previous, previousGeneration: 0 }, state);
    assert.is(unsaid, active === undefined ? previous : undefined, what);
  }
});

const held = { bucketLimit: 0 };

test("is caught up with under a newer goal that holds, also over a restart of the agent", async ({
  host,
  hosts,
  port,
  folder,
}) => {
  const [one, two, three] = ["v1", "v2", "v3"].map((v) => host.stager.add(serviceScript(v)));
  if (one === undefined || two === undefined || three === undefined) throw new Error("no artifact");
  await host.obey(makeGoal(1, one));
  await host.reaches(1, HostPhase.RUNNING);
  // It has heard nothing of generation 2.
  const { run: previous } = makeGoal(2, two);
  const goal = makeGoal(3, three, { ...held, previous, previousGeneration: 2 });
  await host.obey(goal);
  await eventually("v2", async () => (await ask(port))?.version === "v2");
  await host.reaches(3, HostPhase.HELD);
  await eventually("v2 to be reported", () => host.status().runningBuildId === "build-2");
  assert.not(host.status().chosen);
  const pid = (await ask(port))?.pid;
  await host.applications.stop({ stopReleases: false });
  const { signer, stager } = host;
  const next = new TestHost(folder, port, { signer, stager });
  hosts.push(next);
  await next.applications.start();
  await next.reaches(3, HostPhase.HELD);
  assert.is((await ask(port))?.pid, pid, "nothing is started again");
  await next.obey({ ...goal, bucketLimit: 10_000, issueTime: new Date() });
  await next.reaches(3, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v3");
});

test("is caught up with, too, where the newer release fails; and what failed is not tried again", async ({
  host,
  port,
  folder,
}) => {
  const [one, two] = [host.stager.add(serviceScript("v1")), host.stager.add(serviceScript("v2"))];
  const broken = { ...host.stager.add("no program"), run: httpRun({ command: ["./missing"] }) };
  await host.obey(makeGoal(1, one));
  await host.reaches(1, HostPhase.RUNNING);
  const { run: previous } = makeGoal(2, two);
  await host.obey(makeGoal(3, broken, { previous, previousGeneration: 2 }));
  const failed = await host.reaches(3, HostPhase.FAILED);
  assert.is(failed.failure?.reason, HostFailureReason.START_FAILED);
  await eventually("v2 to be known to be healthy", async () => {
    const state = await readFile(path.join(folder, "apps/web/state.json"), "utf8");
    const { active } = JSON.parse(state) as { active?: { release: { buildId: string } } };
    return active?.release.buildId === "build-2";
  });
  const pid = (await ask(port))?.pid;
  // That succeeded without this host: the next one finds it failed here, and leaves v2 alone.
  const { run: failing } = makeGoal(3, broken);
  await host.obey(makeGoal(4, one, { ...held, previous: failing, previousGeneration: 3 }));
  await host.reaches(4, HostPhase.HELD);
  assert.is((await ask(port))?.pid, pid);
  assert.is((await ask(port))?.version, "v2");
  assert.is(host.status().failure, undefined);
});

test("what failed here while it succeeded elsewhere is not tried again after the next failure", async ({
  host,
  port,
}) => {
  const one = host.stager.add(serviceScript("v1"));
  const broken = { ...host.stager.add("no program"), run: httpRun({ command: ["./missing"] }) };
  const worse = { ...host.stager.add("none at all"), run: httpRun({ command: ["./none"] }) };
  await host.obey(makeGoal(1, one));
  await host.reaches(1, HostPhase.RUNNING);
  const { run: first } = makeGoal(1, one);
  await host.obey(makeGoal(2, broken, { previous: first, previousGeneration: 1 }));
  await host.reaches(2, HostPhase.FAILED);
  // Generation 2 succeeded, as its budget of failures allowed this host's.
  const { run: previous } = makeGoal(2, broken);
  await host.obey(makeGoal(3, worse, { previous, previousGeneration: 2 }));
  await host.reaches(3, HostPhase.FAILED);
  const back = await eventually("v1 again", () => ask(port));
  await host.obey(makeGoal(4, one, { ...held, previous, previousGeneration: 2 }));
  await host.reaches(4, HostPhase.HELD);
  // Of what is to run meanwhile it is said, beside that, if it cannot.
  assert.is(host.status().failure, undefined);
  const { version, pid } = (await ask(port)) ?? {};
  assert.equal([version, pid], ["v1", back.pid]);
});

test("is not taken for one by a host that a later, unfinished deployment told to switch", async ({
  host,
  port,
}) => {
  const [one, two] = [host.stager.add(serviceScript("v1")), host.stager.add(serviceScript("v2"))];
  await host.obey(makeGoal(1, one));
  await host.reaches(1, HostPhase.RUNNING);
  const { run: previous } = makeGoal(1, one);
  await host.obey(makeGoal(2, two, { previous, previousGeneration: 1 }));
  await host.reaches(2, HostPhase.RUNNING);
  await host.obey(makeGoal(3, one, { ...held, previous, previousGeneration: 1 }));
  await host.reaches(3, HostPhase.HELD);
  assert.is((await ask(port))?.version, "v2");
});

test.run();
