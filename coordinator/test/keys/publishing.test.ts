import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { credentials } from "@grpc/grpc-js";
import { KEY_SET_KEY, MembershipServiceClient, shortKeyId } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CoordinatorOptions } from "../../src/index.js";
import { call } from "../call.js";
import { TestMember } from "../membership/test-member.js";
import { startWorld, until, type World } from "../rollout/world.js";
import { TestBucket } from "./bucket.js";
import { makeKey, signInto, type KeyFiles, type TestSet } from "./keys.js";

const test = suite("the fleet's key set");
let folder: string;
let file: string;
let world: World;
let bucket: TestBucket;
let root: KeyFiles;
let goal: KeyFiles;
let member: KeyFiles;
let options: Partial<CoordinatorOptions>;

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-key-sets-"));
  file = path.join(folder, "key-set");
  root = await makeKey(folder, "root");
  goal = await makeKey(folder, "goal");
  member = await makeKey(folder, "membership");
  options = {
    goalKeyFile: goal.file,
    membershipKeyFile: member.file,
    keySetFile: file,
    rootPublicKeyFiles: [root.publicFile],
    projectionIntervalMs: 100,
    keySetIntervalMs: 50,
  };
  world = await startWorld();
  bucket = new TestBucket(world);
});
test.after(async () => {
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

const set = (version: number, change: Partial<TestSet> = {}, out = file) =>
  signInto(out, root, { version, goal: [goal], membership: [member], ...change });
const logged = (pattern: RegExp): boolean =>
  world.logs.some(({ msg }) => pattern.test(String(msg)));

test("a coordinator whose keys are not in it does not start, and touches nothing", async () => {
  const other = await makeKey(folder, "other");
  await set(1, { goal: [other] }, path.join(folder, "without-us"));
  const refused = { ...options, keySetFile: path.join(folder, "without-us") };
  const error = await world.coordinator(refused).catch((reason: unknown) => reason);
  assert.match(
    String(error),
    /without-us: key set version 1 has no goal key \w+: start with a key/,
  );
  assert.is(await bucket.keySet(), undefined);
});

test("it is published, told to who joins, and published again when NATS lost it", async () => {
  const first = await set(1);
  const coordinator = await world.coordinator(options);
  // At once: before anything that is signed by its keys.
  assert.equal((await bucket.keySet())?.signed, first.signed);

  const members = new MembershipServiceClient(coordinator.address, credentials.createInsecure());
  try {
    const { grant } = await call(members, "join", new TestMember("h1").joins());
    assert.equal(grant?.keySet, first.signed);
  } finally {
    members.close();
  }

  await (await bucket.kv()).delete(KEY_SET_KEY);
  await bucket.keySetOf(1);
  await world.natsServer.lose();
  await bucket.keySetOf(1);
});

test("a changed file is published while the coordinator runs", async () => {
  await set(2);
  await bucket.keySetOf(2);
});

test("what the root key has not signed is replaced, whatever version it says", async () => {
  const kv = await bucket.kv();
  const { signed } = await signInto(path.join(folder, "forged"), goal, {
    version: 1_000_000,
    goal: [member],
    membership: [member],
  });
  for (const forged of [signed, Buffer.from("nonsense")]) {
    await kv.put(KEY_SET_KEY, forged);
    await until("our own again", async () => {
      const value = await bucket.value(KEY_SET_KEY);
      return value !== undefined && !Buffer.from(value).equals(forged);
    });
    await bucket.keySetOf(2);
  }
  assert.ok(logged(/^a key set that the root key has not signed, or that is none, is replaced/));
});

test("an older one is replaced, and a coordinator with an older file goes by the newer", async () => {
  const old = path.join(folder, "old");
  const { signed } = await set(1, {}, old);
  await (await bucket.kv()).put(KEY_SET_KEY, signed);
  await bucket.keySetOf(2);

  const late = await world.coordinator({ ...options, keySetFile: old });
  assert.ok(
    world.logs.some(({ msg, from }) => msg === "key set taken" && from === "another coordinator"),
  );
  const members = new MembershipServiceClient(late.address, credentials.createInsecure());
  try {
    const { grant } = await call(members, "join", new TestMember("h2").joins());
    assert.equal(grant?.keySet, (await bucket.keySet())?.signed);
  } finally {
    members.close();
  }
  // Who cannot tell whether it is the fleet's leaves it alone, and says so.
  await world.coordinator({ ...options, keySetFile: old, rootPublicKeyFiles: undefined });
  await until("a complaint", () => logged(/^a newer key set is published/));
  assert.is((await bucket.keySet())?.version, 2);
});

test("the process says its version, the days that are left, and counts signatures", async () => {
  const publicFile = path.join(folder, "world-goal.pub");
  await writeFile(publicFile, world.goalPublicKey.export({ type: "spki", format: "pem" }));
  const ours = { ...goal, publicFile, keyId: shortKeyId(world.goalPublicKey) };
  const end = new Date(Date.now() + 5 * 24 * 3_600_000);
  const soon = path.join(folder, "soon");
  await set(3, { goal: [goal, ours], ends: { [ours.keyId]: end } }, soon);
  const process = await world.process(
    "--metrics-listen=0",
    `--key-set=${soon}`,
    `--root-public-key=${root.publicFile}`,
    `--membership-key=${member.file}`,
  );
  const { host, port } = await process.logged("metrics are served");
  const text = await (await fetch(`http://${String(host)}:${String(port)}/metrics`)).text();
  assert.match(text, /^slipway_key_set_version 3$/m);
  assert.match(text, /^slipway_key_set_days_left 4\.9\d+$/m);
  assert.match(text, /^slipway_signatures_total\{key="membership",result="signed"\} 0$/m);
  await process.logged("this coordinator's goal key ends soon: give it another one");
  await bucket.keySetOf(3);
  assert.is(await process.end("SIGTERM"), 0);
});

test.run();
