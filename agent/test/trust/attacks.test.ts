import {
  HostFailureReason,
  HostPhase,
  KEY_SET_KEY,
  RegionAgentStatus,
  regionAgentKey,
  RegionApplicationStatus,
  regionApplicationKey,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { eventually, GoalSigner, temporaryFolder } from "../host/fixtures.js";
import { Root } from "./fixtures.js";
import { type Built, RootedRegion } from "./region.js";

const { GOAL_REFUSED, GOAL_KEY_NOT_TRUSTED } = HostFailureReason;
const test = suite("keys, under attack and in rotation");
const [first, second, third, fourth] = [1, 2, 3, 4].map(() => new GoalSigner()) as [
  GoalSigner,
  GoalSigner,
  GoalSigner,
  GoalSigner,
];
const stranger = new GoalSigner();
let region: RootedRegion;
let removeFolder: () => Promise<void>;
let v1: Built;
let v2: Built;
let v3: Built;

test.before(async () => {
  const { folder, remove } = await temporaryFolder();
  removeFolder = remove;
  region = new RootedRegion(folder);
  await region.open();
  [v1, v2, v3] = [await region.build("v1"), await region.build("v2"), await region.build("v3")];
});
test.after(async () => {
  await region.close();
  await removeFolder();
});

const refusals = async (): Promise<number> => {
  const faults = ["key", "signature", "content", "order"];
  const counts = faults.map((fault) => region.metric("slipway_host_refused_goals_total", fault));
  return (await Promise.all(counts)).reduce<number>((sum, count) => sum + (count ?? 0), 0);
};
const running = (generation: number) =>
  region.status(`generation ${generation} to run`, (status) => {
    return status.generation === generation && status.phase === HostPhase.RUNNING;
  });

test("with a root key alone nothing is obeyed until there is a key set; then all is", async () => {
  await eventually("the host to speak", () => region.said !== undefined);
  assert.is(region.said?.keySetVersion, 0);
  await (await region.regional()).put("web", first.bytes(region.goal(1, v1)));
  const refused = await region.status("a refusal", ({ failure }) => failure !== undefined);
  assert.is(refused.failure?.reason, GOAL_KEY_NOT_TRUSTED);
  await region.publish(2, [first]);
  await running(1);
  await region.deploy(region.goal(2, v2), first);
  const status = await running(2);
  assert.is(status.failure, undefined);
  assert.is((await region.service())?.version, "v2");
  assert.is(await region.metric("slipway_key_set_version"), 2);
});

const flipped = (bytes: Buffer): Buffer => {
  const changed = Buffer.from(bytes);
  changed[changed.length - 30] = (changed[changed.length - 30] ?? 0) ^ 1;
  return changed;
};
const goals: Record<string, [() => Buffer, HostFailureReason]> = {
  "the goal before": [() => first.bytes(region.goal(1, v1)), GOAL_REFUSED],
  "an earlier one of the same generation": [
    () => first.bytes(region.goal(2, v1, { issueTime: new Date(1_700_000_000_001) })),
    GOAL_REFUSED,
  ],
  "one that another key signed": [() => stranger.bytes(region.goal(9, v1)), GOAL_KEY_NOT_TRUSTED],
  "another region's": [() => first.bytes(region.goal(9, v1, { region: "us" })), GOAL_REFUSED],
  "another application's": [
    () => first.bytes(region.goal(9, v1, { application: "shop" })),
    GOAL_REFUSED,
  ],
  "one with a bad signature": [() => flipped(first.bytes(region.goal(9, v1))), GOAL_REFUSED],
  garbage: [() => Buffer.from("garbage"), GOAL_REFUSED],
};

for (const [what, [make, reason]] of Object.entries(goals)) {
  test(`a goal put into the region's bucket is refused, and put right: ${what}`, async () => {
    const before = await region.service();
    const refusedBefore = await refusals();
    const bucket = await region.regional();
    const good = (await bucket.get("web"))?.value;
    const bad = make();
    await bucket.put("web", bad);
    await eventually("the host to refuse it", async () => (await refusals()) > refusedBefore);
    await eventually("the good one to be back", async () => {
      const { value } = (await bucket.get("web")) ?? {};
      return value !== undefined && good !== undefined && Buffer.from(good).equals(value);
    });
    await region.status("no fault to be left", ({ failure }) => failure === undefined);
    // Nobody puts it right: the host says what is wrong, and goes on.
    await region.agent?.stop();
    await bucket.put("web", bad);
    const status = await region.status("it to be told", ({ failure }) => failure !== undefined);
    assert.is(status.failure?.reason, reason, status.failure?.message);
    assert.equal([status.generation, status.phase], [2, HostPhase.RUNNING]);
    assert.equal(await region.service(), before);
    await region.startAgent();
    await region.status("no fault to be left", ({ failure }) => failure === undefined);
  });
}

test("a replay is refused over a restart of the host", async () => {
  const before = await region.service();
  await region.host?.stop();
  await region.agent?.stop();
  const bucket = await region.regional();
  for (const key of ["web", "_digest"]) await bucket.delete(key);
  await region.startHost();
  await running(2);
  await bucket.put("web", first.bytes(region.goal(1, v1)));
  const status = await region.status("it to be told", ({ failure }) => failure !== undefined);
  assert.is(status.failure?.reason, GOAL_REFUSED);
  assert.match(status.failure?.message ?? "", /older than the one that was obeyed/);
  assert.equal(await region.service(), before);
  await region.startAgent();
  await region.status("no fault to be left", ({ failure }) => failure === undefined);
});

const sets: Record<string, [() => Buffer, string]> = {
  "another root key's": [
    () => {
      const membership = [region.membership.publicKey];
      return new Root().set(9, { goal: [stranger.publicKey], membership });
    },
    "refused",
  ],
  "one with a bad signature": [() => flipped(region.keySet(9, [stranger])), "refused"],
  garbage: [() => Buffer.from("garbage"), "refused"],
  "an older one": [() => region.keySet(1, [stranger]), "older"],
  "another of the same version": [() => region.keySet(2, [stranger]), "conflicting"],
};

for (const [what, [make, result]] of Object.entries(sets)) {
  test(`a key set put into both buckets changes nothing: ${what}`, async () => {
    const before = (await region.metric("slipway_key_sets_total", result)) ?? 0;
    const bucket = await region.regional();
    const bad = make();
    for (const kv of [region.global, bucket]) await kv.put(KEY_SET_KEY, bad);
    await eventually("the host to count it", async () => {
      return ((await region.metric("slipway_key_sets_total", result)) ?? 0) > before;
    });
    await region.deploy(region.goal(9, v1), stranger);
    await bucket.put("web", stranger.bytes(region.goal(9, v1)));
    const good = first.bytes(region.goal(2, v2));
    await region.deploy(region.goal(2, v2), first);
    await eventually("the good goal to be back", async () => {
      return good.equals((await bucket.get("web"))?.value ?? Buffer.alloc(0));
    });
    assert.is(region.said?.keySetVersion, 2);
    assert.is((await region.service())?.version, "v2");
    if (result === "conflicting") return;
    await eventually("the region's set to be put right", async () => {
      return region.keySet(2, [first]).equals((await bucket.get(KEY_SET_KEY))?.value ?? bad);
    });
  });
}

test("a goal key is followed by another, and nothing that runs notices", async () => {
  const before = await region.service();
  await region.publish(3, [first, second]);
  await region.deploy(region.goal(3, v2), second);
  await running(3);
  await region.publish(4, [second]);
  assert.equal(await region.service(), before);
  assert.is((await running(3)).failure, undefined);
  const refusedBefore = await refusals();
  await (await region.regional()).put("web", first.bytes(region.goal(9, v1)));
  await eventually("a refusal", async () => (await refusals()) > refusedBefore);
  await region.status("no fault to be left", ({ failure }) => failure === undefined);
  assert.equal(await region.service(), before);
});

test("a key dropped too early stops goals, not what runs, and that is told, over a restart too", async () => {
  const before = await region.service();
  await region.publish(5, [third]);
  const told = () =>
    region.status("it to be told", ({ failure, phase }) => {
      return failure?.reason === GOAL_KEY_NOT_TRUSTED && phase === HostPhase.RUNNING;
    });
  const status = await told();
  assert.is(status.generation, 3);
  assert.match(status.failure?.message ?? "", /what runs goes on: goal key .* none of key set 5/);
  await region.host?.stop();
  await region.startHost();
  assert.is((await told()).generation, 3);
  assert.is(region.said?.keySetVersion, 5);
  assert.equal(await region.service(), before);
  await region.deploy(region.goal(4, v2), third);
  assert.is((await running(4)).failure, undefined);
});

test("the highest of generations by a key that is revoked shuts nobody out", async () => {
  await region.deploy(region.goal(2 ** 50, v1), third);
  await running(2 ** 50);
  await region.publish(6, [fourth]);
  const goal = region.goal(5, v3);
  await region.deploy(goal, fourth);
  await (await region.regional()).put("web", fourth.bytes(goal));
  await region.status("the order to hold", ({ failure }) => failure?.reason === GOAL_REFUSED);
  await region.publish(7, [fourth], [third]);
  await running(5);
  assert.is((await region.service())?.version, "v3");
  await region.host?.stop();
  await region.startHost();
  assert.is((await running(5)).failure, undefined);
});

test("a goal that nobody renews is obeyed, and told to be stale", async () => {
  await region.deploy(region.goal(6, v3, { expireTime: new Date(Date.now() - 1_000) }), fourth);
  assert.is((await running(6)).goalStale, true);
  assert.is((await region.service())?.version, "v3");
  assert.is(await region.metric("slipway_host_stale_goals"), 1);
  await eventually("the region to count it", async () => {
    const agent = await region.statuses.get(regionAgentKey("eu", "eu-1"));
    const counts = await region.statuses.get(regionApplicationKey("eu", "eu-1", "web"));
    return (
      agent !== null &&
      counts !== null &&
      RegionAgentStatus.decode(agent.value).staleGoalCount === 1 &&
      RegionApplicationStatus.decode(counts.value).staleCount === 1
    );
  });
  await region.deploy(region.goal(7, v3, { expireTime: new Date(Date.now() + 60_000) }), fourth);
  assert.is((await running(7)).goalStale, false);
});

test.run();
