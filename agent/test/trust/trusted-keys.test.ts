import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { MembershipCertificate, shortKeyId, verifyKeySet } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createIdentity } from "../../src/swarm/identity.js";
import { outlives, type Taken, TrustedKeys } from "../../src/trust/trusted-keys.js";
import { type Keys, Root } from "./fixtures.js";

const test = suite("trusted keys");
const [a, b, c, d] = Array.from({ length: 4 }, () => generateKeyPairSync("ed25519")) as [
  Pair,
  Pair,
  Pair,
  Pair,
];
type Pair = { publicKey: KeyObject; privateKey: KeyObject };
const root = new Root();
const both: Keys = { goal: [a.publicKey], membership: [b.publicKey] };
const NOON = Date.parse("2030-01-01T12:00:00Z");

function trust(first = { goalKeys: [a.publicKey], membershipKeys: [b.publicKey] }) {
  const clock = { now: NOON };
  const keys = new TrustedKeys({ first, rootKeys: [root.publicKey], now: () => clock.now });
  const take = (version: number, set: Keys, more: Root[] = []): Taken =>
    keys.take(verifyKeySet(root.set(version, set, more), [root.publicKey]));
  return { keys, clock, take };
}

/** Why a goal key is none; undefined if it is one. */
function fault(keys: TrustedKeys, { publicKey }: Pair): string | undefined {
  const found = keys.goals.find(shortKeyId(publicKey));
  return "reason" in found ? found.reason : undefined;
}

function certificate({ privateKey }: Pair): MembershipCertificate {
  const expireTime = new Date(NOON + 3_600_000);
  const asked = { id: "h1", region: "eu", role: "host" as const, expireTime };
  return MembershipCertificate.decode(
    createIdentity({ ...asked, membershipKey: privateKey }).certificate,
  );
}

const signer = (keys: TrustedKeys, pair: Pair): string | undefined =>
  keys.memberships.signer(certificate(pair));

test("a command line's hold for good, each for its own purpose", () => {
  const keys = TrustedKeys.fixed({ goalKeys: [a.publicKey], membershipKeys: [b.publicKey] });
  assert.is(fault(keys, a), undefined);
  assert.is(fault(keys, b), "unknown");
  assert.is(signer(keys, b), shortKeyId(b.publicKey));
  assert.is(signer(keys, a), undefined);
  assert.is(keys.memberships.endTime(shortKeyId(b.publicKey)), Infinity);
  assert.is(keys.version, 0);
  const found = keys.goals.find(shortKeyId(a.publicKey));
  assert.ok(!("reason" in found) && found.equals(createPublicKey(a.privateKey)));
});

test("a key set takes the place of the command line's, whole", () => {
  const { keys, take } = trust();
  let changes = 0;
  keys.onChange(() => (changes += 1));
  assert.is(take(1, { goal: [c.publicKey], membership: [d.publicKey] }), "taken");
  assert.equal([fault(keys, c), fault(keys, a)], [undefined, "unlisted"]);
  assert.equal([signer(keys, d), signer(keys, b)], [shortKeyId(d.publicKey), undefined]);
  assert.is(keys.memberships.holds(shortKeyId(b.publicKey)), false);
  assert.equal([changes, keys.version], [1, 1]);
});

test("an older one is not taken, nor another of the same version", () => {
  const { keys, take } = trust();
  const other: Keys = { goal: [c.publicKey], membership: [d.publicKey] };
  assert.equal(
    [take(5, both), take(4, other), take(5, other), take(5, both), take(7, both)],
    ["taken", "older", "conflicting", "known", "taken"],
  );
  assert.is(fault(keys, a), undefined);
});

test("one set that a second root key signs as well is the same", () => {
  const { take } = trust();
  assert.is(take(5, both), "taken");
  assert.is(take(5, both, [new Root()]), "known");
});

test("a key ends at its time, and not a moment before", () => {
  const { keys, clock, take } = trust();
  const notAfter = new Date(NOON + 1_000);
  take(1, {
    goal: [{ key: a.publicKey, notAfter }, c.publicKey],
    membership: [{ key: b.publicKey, notAfter }, d.publicKey],
  });
  clock.now = NOON + 999;
  const before = keys.goals.epoch;
  const id = shortKeyId(b.publicKey);
  assert.equal([fault(keys, a), signer(keys, b)], [undefined, id]);
  assert.is(keys.memberships.holds(id), true);
  clock.now = NOON + 1_000;
  assert.equal([fault(keys, a), signer(keys, b)], ["ended", undefined]);
  assert.is(keys.memberships.holds(id), false);
  assert.is(keys.memberships.endTime(id), NOON + 1_000);
  assert.equal([fault(keys, c), signer(keys, d)], [undefined, shortKeyId(d.publicKey)]);
  assert.not.equal(keys.goals.epoch, before, "what was read before is to be read again");
});

test("what was obeyed outlives its key's end, and its removal, not its revocation", () => {
  const { keys, clock, take } = trust();
  const ends = { key: a.publicKey, notAfter: new Date(NOON) };
  const faultOf = ({ publicKey }: Pair) => {
    const found = keys.goals.find(shortKeyId(publicKey));
    assert.ok("reason" in found);
    return found;
  };
  assert.is(outlives(faultOf(c)), false, "never told of it");
  take(1, { goal: [ends, c.publicKey], membership: [b.publicKey] });
  clock.now = NOON;
  assert.is(outlives(faultOf(a)), true);
  take(2, { goal: [c.publicKey], membership: [b.publicKey] });
  assert.is(outlives(faultOf(a)), true);
  take(3, { goal: [c.publicKey], membership: [b.publicKey], revoked: [a.publicKey] });
  assert.is(faultOf(a).reason, "revoked");
  assert.is(outlives(faultOf(a)), false);
});

test("without any there is nobody to be believed until a set comes", () => {
  const { keys, take } = trust();
  keys.distrust();
  assert.equal([fault(keys, a), signer(keys, b)], ["unknown", undefined]);
  assert.is(take(3, both), "taken");
  assert.is(fault(keys, a), undefined);
});

test.run();
