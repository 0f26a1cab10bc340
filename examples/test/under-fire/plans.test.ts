import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FaultPlanOptions, planFaults } from "../../src/under-fire/fault-plan.js";
import { planOperations } from "../../src/under-fire/operation-plan.js";
import { seededRandom } from "../../src/under-fire/random.js";
import { soakScale, testScale } from "../../src/under-fire/scale.js";
import { planTraffic } from "../../src/under-fire/traffic-plan.js";

const SEEDS = [0, 1, 2, 42, 2 ** 31 - 1];
const faultOptions: FaultPlanOptions = {
  targets: { "region agent": ["a1", "a2"], postgres: ["postgres"], release: ["eu-1", "eu-2"] },
  count: 60,
  meanGapMs: 500,
  maxDownMs: 2_000,
  longDownMs: 40_000,
};

test("a seed says everything", () => {
  for (const seed of SEEDS) {
    const faults = planFaults(seededRandom(seed), faultOptions);
    assert.equal(planFaults(seededRandom(seed), faultOptions), faults);
    assert.not.equal(planFaults(seededRandom(seed + 1), faultOptions), faults);
  }
});

test("random numbers stay in their bounds, and get everywhere in them", () => {
  const random = seededRandom(7);
  const drawn = new Set(Array.from({ length: 500 }, () => random.integer(3, 6)));
  assert.equal(
    [...drawn].sort((a, b) => a - b),
    [3, 4, 5, 6],
  );
  assert.equal(new Set(random.shuffled([1, 2, 3, 4])), new Set([1, 2, 3, 4]));
  assert.throws(() => random.pick([]), /nothing to pick/);
});

test("every kind of fault comes in every round, and nothing that is down is hit", () => {
  for (const seed of SEEDS) {
    const faults = planFaults(seededRandom(seed), faultOptions);
    assert.is(faults.length, 60);
    for (let round = 0; round < 20; round++) {
      const kinds = faults.slice(3 * round, 3 * round + 3).map(({ kind }) => kind);
      assert.equal(kinds.sort(), ["postgres", "region agent", "release"]);
    }
    const freeAt = new Map<string, number>();
    let last = 0;
    for (const { atMs, kind, target, downMs } of faults) {
      assert.ok(atMs >= last, "in the order of their times");
      last = atMs;
      assert.ok(atMs >= (freeAt.get(target) ?? 0), `${target} is down already`);
      freeAt.set(target, atMs + downMs);
      if (kind === "release") assert.is(downMs, 0);
    }
    const long = faults.filter(({ downMs }) => downMs === 40_000);
    assert.is(long.length, 6);
    assert.ok(long.every(({ kind }) => kind === "region agent"));
  }
});

test("processes hang, but not many at once, and nothing is hit meanwhile", () => {
  const targets = { coordinator: ["c1", "c2"], "host agent": ["eu-1", "eu-2"], postgres: ["pg"] };
  const hangs = { minMs: 5_000, maxMs: 40_000, atOnce: 2 };
  for (const seed of SEEDS) {
    const options = { ...faultOptions, targets, hangs, relabelled: ["eu-2"] };
    const faults = planFaults(seededRandom(seed), options);
    const ways = new Set(faults.map(({ way, kind }) => `${way} ${kind}`));
    assert.equal([...ways].sort(), [
      "hang coordinator",
      "hang host agent",
      "kill coordinator",
      "kill host agent",
      "kill postgres",
      "relabel host agent",
    ]);
    const hanging = faults.filter(({ way }) => way === "hang");
    for (const { atMs, downMs } of hanging) {
      assert.ok(downMs >= hangs.minMs && downMs <= hangs.maxMs);
      const others = hanging.filter((each) => each.atMs <= atMs && atMs < each.atMs + each.downMs);
      assert.ok(others.length <= hangs.atOnce, `${others.length} hang at once`);
    }
    const freeAt = new Map<string, number>();
    for (const { atMs, target, downMs } of faults) {
      assert.ok(atMs >= (freeAt.get(target) ?? 0), `${target} is down already`);
      freeAt.set(target, atMs + downMs);
    }
    assert.ok(faults.every(({ way, target }) => way !== "relabel" || target === "eu-2"));
  }
});

test("what operators do is taken back in time, and not done twice at once", () => {
  const options = {
    applications: ["a", "b", "c"],
    regions: ["eu", "us"],
    fleeting: "c",
    narrowed: "b",
    doomed: "us-3",
    durationMs: 600_000,
    count: 40,
  };
  for (const seed of SEEDS) {
    const planned = planOperations(seededRandom(seed), options);
    assert.equal(planOperations(seededRandom(seed), options), planned);
    assert.equal([...new Set(planned.map(({ kind }) => kind))].sort(), [
      "cancel build",
      "decommission host",
      "freeze application",
      "freeze region",
      "narrow selector",
      "remove application",
    ]);
    const freeAt = new Map<string, number>();
    for (const { atMs, kind, target, holdMs } of planned) {
      if (kind === "cancel build") continue;
      assert.ok(atMs >= (freeAt.get(target) ?? 0), `something is done to ${target} already`);
      freeAt.set(target, atMs + (holdMs ?? 0));
      assert.ok(atMs + (holdMs ?? 0) <= options.durationMs);
    }
    const last = planned.filter(({ target }) => target === "c").at(-1);
    assert.equal([last?.kind, last?.holdMs], ["remove application", undefined]);
    assert.is(planned.filter(({ kind }) => kind === "decommission host").length, 1);
  }
});

test("nothing is planned for what there is not", () => {
  const none = { ...faultOptions, targets: { builder: [] } };
  assert.equal(planFaults(seededRandom(1), none), []);
});

test("an application has something to deploy first, and something to go back to", () => {
  const applications = ["a", "b", "c"];
  const options = { applications, builds: 60, deployments: 30, durationMs: 60_000 };
  for (const seed of SEEDS) {
    const { builds, deployments } = planTraffic(seededRandom(seed), options);
    assert.is(builds.length, 60);
    assert.is(deployments.length, 30);
    for (const application of applications) {
      const [first, second] = builds.filter((build) => build.application === application);
      assert.equal([first?.fate, second?.fate, first?.atMs, second?.atMs], ["good", "good", 0, 0]);
      const own = deployments.filter((each) => each.application === application);
      assert.equal(
        own.slice(0, 2).map(({ change }) => change),
        ["deploy", "deploy"],
      );
      assert.is(own[0]?.steering, "nothing");
      assert.is.not(own.at(-1)?.steering, "overtake");
    }
    const steerings = new Set(deployments.map(({ steering }) => steering));
    for (const steering of ["nothing", "pause", "abort", "abort and keep"] as const) {
      assert.ok(steerings.has(steering), `nobody does: ${steering}`);
    }
    const times = builds.map(({ atMs }) => atMs);
    assert.equal(
      times,
      [...times].sort((a, b) => a - b),
    );
    for (const { sizeBytes } of builds) {
      assert.ok(sizeBytes >= 1024 ** 2 && sizeBytes <= 4 * 1024 ** 2);
    }
  }
});

test("a soak is as large as it was asked to be, and a test has a fault of every kind", () => {
  const scale = soakScale({ seed: 5, minutes: 10, builds: 1_000, deployments: 50 });
  assert.equal(
    [scale.seed, scale.builds, scale.deployments, scale.durationMs, scale.faults],
    [5, 1_000, 50, 600_000, 200],
  );
  assert.ok(testScale(1).faults >= 13);
});

test.run();
