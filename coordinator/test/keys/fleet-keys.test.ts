import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FleetKeys } from "../../src/keys/fleet-keys.js";
import { daysUntil, firstEnd, heldKey, keyFault } from "../../src/keys/judge-key.js";
import { parsePublicKey } from "../../src/keys/signer.js";
import { makeKey, signInto, type KeyFiles, type TestSet } from "./keys.js";

const test = suite("which keys the fleet goes by");
const DAY_MS = 24 * 3_600_000;
const NOW = Date.UTC(2030, 0, 1);
const days = (count: number): Date => new Date(NOW + count * DAY_MS);
let folder: string;
let file: string;
let root: KeyFiles;
let goal: KeyFiles;
let next: KeyFiles;
let member: KeyFiles;
let now = NOW;
const logs: Record<string, unknown>[] = [];
const log = pino({}, { write: (line) => void logs.push(JSON.parse(line)) });

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-fleet-keys-"));
  root = await makeKey(folder, "root");
  goal = await makeKey(folder, "goal");
  next = await makeKey(folder, "next");
  member = await makeKey(folder, "membership");
});
test.before.each(() => {
  file = path.join(folder, `set-${Math.random()}`);
  now = NOW;
  logs.length = 0;
});
test.after(() => rm(folder, { recursive: true, force: true }));

const set = (version: number, change: Partial<TestSet> = {}, by = root) =>
  signInto(file, by, { version, goal: [goal], membership: [member], ...change }, NOW);
async function open({ rooted = true, joins = true } = {}) {
  const pem = await readFile(root.publicFile, "utf8");
  const rootKeys = rooted ? [parsePublicKey(pem, "root public key")] : undefined;
  const own = { goal: goal.keyId, membership: joins ? member.keyId : undefined };
  return FleetKeys.open({ file, rootKeys, own, clock: { now: () => now }, log });
}
async function refusal(options?: Parameters<typeof open>[0]): Promise<string> {
  try {
    await open(options);
  } catch (error) {
    return (error as Error).message.replaceAll(file, "FILE");
  }
  return "";
}

test("a key holds while the newest set has it, it has not ended, and it is not revoked", async () => {
  const held = await set(3, {
    goal: [goal, next],
    revoked: [root],
    ends: { [next.keyId]: days(2) },
  });
  assert.is(keyFault(held, "goal", goal.keyId, NOW), undefined);
  assert.is(keyFault(held, "goal", next.keyId, days(2).getTime() - 1), undefined);
  const table: [use: "goal" | "membership", keyId: string, fault: RegExp][] = [
    ["goal", next.keyId, /^goal key \w+ ended 2030-01-03T00:00:00.000Z, says key set version 3$/],
    ["goal", member.keyId, /^key set version 3 has no goal key \w+$/],
    ["membership", goal.keyId, /^key set version 3 has no membership key \w+$/],
    ["goal", root.keyId, /^key set version 3 revokes goal key \w+$/],
  ];
  for (const [use, keyId, fault] of table) {
    assert.match(keyFault(held, use, keyId, days(2).getTime()) ?? "", fault);
    assert.is(heldKey(held, use, keyId, days(2).getTime()), undefined);
  }
  assert.is(heldKey(held, "goal", next.keyId, NOW)?.keyId, next.keyId);
  assert.equal(firstEnd(held), days(2));
  assert.is(daysUntil(days(2), NOW), 2);
});

test("a coordinator whose own key does not hold is refused, and told what to do", async () => {
  const cases: [() => Promise<unknown>, RegExp][] = [
    [
      () => set(1, { goal: [next] }),
      /^FILE: key set version 1 has no goal key \w+: start with a key of/,
    ],
    [() => set(2, { membership: [next] }), /^FILE: key set version 2 has no membership key \w+: /],
    [
      () => set(3, { ends: { [goal.keyId]: days(1) }, membership: [next] }),
      /^FILE: key set version 3 has no membership key/,
    ],
    [() => set(4, {}, next), /^FILE: the key set is not signed by the root key, but by/],
    [() => writeFile(file, "nonsense"), /^FILE: the signed key set cannot be decoded/],
    [() => rm(file), /^the key set FILE cannot be read: ENOENT$/],
  ];
  now = days(1).getTime();
  for (const [write, reason] of cases) {
    await write();
    assert.match(await refusal(), reason);
  }
});

test("a coordinator that is started again after its key's end comes up, and signs nothing", async () => {
  await set(1, { ends: { [goal.keyId]: days(1) } });
  now = days(2).getTime();
  const keys = await open();
  assert.match(keys.faultOf("goal") ?? "", /ended 2030-01-02/);
  assert.is(keys.faultOf("membership"), undefined);
  assert.ok(logs.some((line) => JSON.stringify(line).includes("nothing is signed with this goal")));
  await set(2);
  assert.is(await keys.reload(), 1);
  assert.is(keys.faultOf("goal"), undefined);
});

test("without a membership key of its own, or a root key to check by, a set will do", async () => {
  await set(1, { membership: [next] });
  assert.is((await open({ joins: false })).set.version, 1);
  await set(2, {}, next);
  assert.is((await open({ rooted: false })).set.version, 2);
});

test("a changed file is taken if the version is higher, and nothing else is", async () => {
  await set(2);
  const keys = await open();
  assert.is(await keys.reload(), 0);
  await set(3, { goal: [goal, next] });
  assert.is(await keys.reload(), 1);
  assert.is(keys.set.version, 3);
  assert.is(keys.goalKey(next.keyId)?.asymmetricKeyType, "ed25519");

  const ignored = /^a key set (that the root key has not signed|whose version is not above)/;
  for (const write of [
    () => rm(file).then(() => set(1)),
    () => rm(file).then(() => set(3)),
    () => rm(file).then(() => set(9, {}, next)),
    () => writeFile(file, "nonsense"),
  ]) {
    await write();
    logs.length = 0;
    assert.equal([await keys.reload(), await keys.reload()], [0, 0]);
    assert.is(keys.set.version, 3);
    assert.is(logs.length, 1, "said once");
    assert.match(String(logs[0]?.["msg"]), ignored);
  }
  await rm(file);
  const error = await keys.reload().catch((reason: unknown) => reason);
  assert.match(String(error), /cannot be read: ENOENT/);
  assert.is(keys.set.version, 3);
});

test("a set without our own key is taken too: it is the fleet's, and we sign no more", async () => {
  await set(1);
  const keys = await open();
  assert.is(keys.faultOf("goal"), undefined);
  await set(2, { goal: [next], revoked: [goal] });
  await keys.reload();
  assert.match(keys.faultOf("goal") ?? "", /^key set version 2 revokes goal key/);
  assert.is(keys.faultOf("membership"), undefined);
  assert.equal([keys.isRevoked(goal.keyId), keys.isRevoked(next.keyId)], [true, false]);
  assert.ok(logs.some(({ msg }) => msg === "nothing is signed with this goal key any more"));
});

test("a newer set that others publish is taken by whom the root key can prove it", async () => {
  const newer = await set(5);
  await rm(file);
  await set(1);
  const believing = await open({ rooted: false });
  believing.adopt(newer);
  assert.is(believing.set.version, 1);
  const keys = await open();
  keys.adopt(newer);
  assert.is(keys.set.version, 5);
  keys.adopt(
    await signInto(`${file}-old`, root, { version: 4, goal: [goal], membership: [member] }),
  );
  assert.is(keys.set.version, 5);
  assert.is(keys.read(Buffer.from("nonsense")), undefined);
  const foreign = await signInto(`${file}-x`, next, {
    version: 9,
    goal: [goal],
    membership: [member],
  });
  assert.is(keys.read(foreign.signed), undefined);
});

test("an own key that ends within 7 days is warned of, once a day; another one is not", async () => {
  const ends = { [goal.keyId]: days(10), [next.keyId]: days(2) };
  await set(1, { goal: [goal, next], ends });
  const keys = await open();
  const warnings = async (): Promise<number> => {
    logs.length = 0;
    await keys.reload();
    return logs.filter(({ msg }) => /goal key ends soon/.test(String(msg))).length;
  };
  assert.is(keys.daysLeft, 2);
  assert.is(await warnings(), 0);
  now = days(3).getTime();
  assert.is(await warnings(), 1);
  assert.is(await warnings(), 0);
  now += DAY_MS;
  assert.is(await warnings(), 1);
  assert.is(keys.daysLeft, -2);
});

test.run();
