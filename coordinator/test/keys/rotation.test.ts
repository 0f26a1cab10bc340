import { verify } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { REVOCATIONS_SIGNATURE_CONTEXT, type Goal } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSignedGoal } from "../../src/goal/signing.js";
import type { CoordinatorOptions } from "../../src/index.js";
import { parsePublicKey } from "../../src/keys/signer.js";
import { call } from "../call.js";
import { deployNew, startWorld, until, type Clients, type World } from "../rollout/world.js";
import { TestBucket } from "./bucket.js";
import { makeKey, signInto, type KeyFiles } from "./keys.js";

const test = suite("another goal key");
const APPLICATIONS = ["shop", "mail"];
let folder: string;
let file: string;
let world: World;
let bucket: TestBucket;
let root: KeyFiles;
let first: KeyFiles;
let second: KeyFiles;
let member: KeyFiles;
type Running = Awaited<ReturnType<World["coordinator"]>>;

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-rotation-"));
  file = path.join(folder, "key-set");
  root = await makeKey(folder, "root");
  first = await makeKey(folder, "first");
  second = await makeKey(folder, "second");
  member = await makeKey(folder, "membership");
  world = await startWorld();
  bucket = new TestBucket(world);
});
test.after(async () => {
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

const start = (key: KeyFiles, options: Partial<CoordinatorOptions> = {}): Promise<Running> =>
  world.coordinator({
    goalKeyFile: key.file,
    membershipKeyFile: member.file,
    keySetFile: file,
    rootPublicKeyFiles: [root.publicFile],
    projectionIntervalMs: 200,
    reconcileIntervalMs: 200,
    keySetIntervalMs: 50,
    ...options,
  });
const enrol = async ({ fleet }: Clients, hostId: string): Promise<void> => {
  const host = { hostId, region: "eu", cell: "", labels: {} };
  await call(fleet, "enrolHosts", { hosts: [host] });
};
const decommission = async (clients: Clients, hostId: string): Promise<void> => {
  await enrol(clients, hostId);
  await call(clients.fleet, "decommissionHost", { hostId, actor: "ada", reason: "" });
};
const publicKey = async ({ publicFile }: KeyFiles) =>
  parsePublicKey(await readFile(publicFile, "utf8"), "public key");
/** What a goal says, but for when it was said. */
const said = (goal: Goal): Goal => ({ ...goal, issueTime: undefined, expireTime: undefined });

test("takes over what the one before has signed, and the fleet goes on without that one", async () => {
  const keys = { membership: [member] };
  await signInto(file, root, { version: 1, goal: [first], ...keys });
  const before = await start(first);
  await enrol(before.clients, "runs");
  for (const name of APPLICATIONS) await deployNew(world, before.clients, name);
  const old = await Promise.all(APPLICATIONS.map((name) => bucket.goalBy(name, first.keyId)));
  await decommission(before.clients, "h1");
  const firstList = await bucket.revocationsBy(first.keyId, "h1");

  // Both hold; nothing is signed anew while the one that leads has the first.
  await signInto(file, root, { version: 2, goal: [first, second], ...keys });
  await bucket.keySetOf(2);
  const after = await start(second);
  // What the new one has signed is read by the old one as the fleet's, and signed again by that.
  await decommission(after.clients, "h2");
  const mixed = await bucket.revocationsBy(first.keyId, "h1", "h2");
  assert.ok(mixed.content.version > firstList.content.version);
  assert.is((await bucket.goal("shop"))?.keyId, first.keyId);

  // The last one with the first key ends: the other one leads, and signs everything again.
  await before.stop();
  for (const [index, name] of APPLICATIONS.entries()) {
    const goal = await bucket.goalBy(name, second.keyId);
    const was = old[index];
    if (was === undefined) throw new Error("no goal");
    assert.equal(said(goal.content), said(was.content));
    const [issued, earlier] = [goal.content.issueTime, was.content.issueTime];
    assert.ok(issued !== undefined && earlier !== undefined && issued > earlier);
    assert.ok(openSignedGoal(goal.signed, await publicKey(second)));
  }
  const list = await bucket.revocationsBy(second.keyId, "h1", "h2");
  assert.ok(list.content.version > mixed.content.version);
  const { payload, signature } = list.signed;
  const message = Buffer.concat([Buffer.from(REVOCATIONS_SIGNATURE_CONTEXT), payload]);
  assert.ok(verify(null, message, await publicKey(second), signature));

  // The first one is let go.
  await signInto(file, root, { version: 3, goal: [second], revoked: [first], ...keys });
  const last = await bucket.keySetOf(3);
  assert.equal(
    [last.goalKeys.map(({ keyId }) => keyId), [...last.revokedKeyIds]],
    [[second.keyId], [first.keyId]],
  );
  const refused = await start(first).catch((error: unknown) => error);
  assert.match(
    String(refused),
    /key set version 3 revokes goal key \w+: start with a key of the set/,
  );
  await deployNew(world, after.clients, "blog");
  await bucket.goalBy("blog", second.keyId);
  const nonsense = world.logs.filter(({ msg }) => /nobody here signed/.test(String(msg)));
  assert.equal(nonsense, [], "nobody took the other's for a stranger's");
  await after.stop();
});

test("who has a key that was let go signs nothing, and what waits is signed by the next", async () => {
  const outdated = path.join(folder, "outdated");
  await signInto(outdated, root, { version: 1, goal: [first], membership: [member] });
  const late = await start(first, { keySetFile: outdated });
  const { id } = await deployNew(world, late.clients, "waits");
  await until("why it waits", async () => {
    const { deployment } = await call(late.clients.deployments, "getDeployment", { id });
    const reason = `could not be signed (key set version 3 revokes goal key ${first.keyId})`;
    return deployment?.blockedBy.includes(reason);
  });
  assert.is(await bucket.goal("waits"), undefined);
  assert.is((await bucket.goal("shop"))?.keyId, second.keyId);

  // It leads, as there was nobody else: it gives that up.
  await start(second);
  const goal = await bucket.goalBy("waits", second.keyId);
  assert.is(goal.content.deploymentId, id);
  const aside = await until("what it says of that", () =>
    world.logs.find(({ msg }) => /left to a coordinator that can sign/.test(String(msg))),
  );
  assert.match(String(aside["reason"]), new RegExp(`revokes goal key ${first.keyId}`));
  await late.stop();
});

test.run();
