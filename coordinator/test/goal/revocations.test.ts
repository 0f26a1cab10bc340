import { generateKeyPairSync, verify } from "node:crypto";
import {
  GLOBAL_GOALS_BUCKET,
  RevocationList,
  REVOCATIONS_KEY,
  REVOCATIONS_SIGNATURE_CONTEXT,
  SignedRevocationList,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { planRevocations } from "../../src/goal/plan-revocations.js";
import { createRevocationSigner } from "../../src/goal/revocation-signer.js";
import { createKeySigner } from "../../src/keys/signer.js";
import { call } from "../call.js";
import { startWorld, until, type Clients, type World } from "../rollout/world.js";

const test = suite("revocations");
let world: World;
let clients: Clients;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({ projectionIntervalMs: 100 }));
  const hosts = ["h1", "h2", "h3"].map((hostId) => ({
    hostId,
    region: "eu",
    cell: "",
    labels: {},
  }));
  await call(clients.fleet, "enrolHosts", { hosts });
});
test.after(() => world?.stop());

const decommission = (hostId: string): Promise<unknown> =>
  call(clients.fleet, "decommissionHost", { hostId, actor: "ada", reason: "" });

/** The list in the bucket; undefined if there is none that the fleet's key signed. */
async function published(): Promise<RevocationList | undefined> {
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  const entry = await kv.get(REVOCATIONS_KEY);
  if (entry === null || entry.operation !== "PUT") return undefined;
  const { payload, signature } = SignedRevocationList.decode(entry.value);
  const message = Buffer.concat([Buffer.from(REVOCATIONS_SIGNATURE_CONTEXT), payload]);
  const isOurs = verify(null, message, world.goalPublicKey, signature);
  return isOurs ? RevocationList.decode(payload) : undefined;
}
const revokes = (...hostIds: string[]): Promise<RevocationList> =>
  until(`a list of ${hostIds.join()}`, async () => {
    const list = await published().catch(() => undefined);
    return list?.hostIds.join() === hostIds.join() && list;
  });

test("decommissioned hosts are published, signed, and again when they are lost", async () => {
  assert.is(await published(), undefined);
  await decommission("h2");
  const first = await revokes("h2");
  await decommission("h1");
  const second = await revokes("h1", "h2");
  assert.ok(second.version > first.version);
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  await kv.destroy();
  const third = await revokes("h1", "h2");
  assert.ok(third.version > second.version);
});

test("a list that somebody else has signed is replaced", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const version = Number.MAX_SAFE_INTEGER;
  const forged = await createRevocationSigner(createKeySigner(pem, "goal")).sign({
    version,
    issueTime: undefined,
    hostIds: ["h3"],
  });
  const kv = await world.nats.jetstream().views.kv(GLOBAL_GOALS_BUCKET);
  await kv.put(REVOCATIONS_KEY, SignedRevocationList.encode(forged).finish());
  await revokes("h1", "h2");
  await kv.put(REVOCATIONS_KEY, Buffer.from([255, 255]));
  await revokes("h1", "h2");
});

const now = new Date(5_000);
const list = (version: number, ...hostIds: string[]): RevocationList => ({
  version,
  issueTime: undefined,
  hostIds,
});

test("nothing is ever taken back, and versions rise whatever the clock says", () => {
  assert.equal(planRevocations([], undefined, now).write, undefined);
  assert.equal(planRevocations(["a"], list(1, "a"), now).write, undefined);
  assert.equal(planRevocations(["a"], undefined, now).write, {
    version: 5_000,
    issueTime: now,
    hostIds: ["a"],
  });
  assert.is(planRevocations(["b", "a"], list(9_000, "a"), now).write?.version, 9_001);
  const restored = planRevocations(["b"], list(1, "c"), now);
  assert.equal([restored.write?.hostIds, restored.unknown], [["b", "c"], ["c"]]);
  assert.equal(planRevocations(["b"], list(1, "c", "b"), now), {
    write: undefined,
    unknown: ["c"],
    leftOut: 0,
  });
});

test("a list that gets too large leaves out the first ones, and says so", () => {
  const ids = Array.from({ length: 20_000 }, (_, n) => `${n}-${"x".repeat(55)}`);
  const { write, leftOut } = planRevocations(ids, undefined, now);
  assert.ok(RevocationList.encode(write ?? list(0)).finish().length < 1_010_000);
  assert.is((write?.hostIds.length ?? 0) + leftOut, ids.length);
  assert.is(write?.hostIds[0], ids[0]);
  assert.is(planRevocations(ids, write, now).write, undefined);
});

test.run();
