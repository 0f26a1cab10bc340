import { generateKeyPairSync, sign } from "node:crypto";
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { KeySet, SignedKeySet } from "../gen/slipway/v1/key_set.js";
import { rawPublicKey, shortKeyId } from "../src/ed25519.js";
import { KeySetRefusedError, signKeySet, verifyKeySet } from "../src/key-set.js";
import {
  GOAL_SIGNATURE_CONTEXT,
  KEY_SET_MAX_BYTES,
  KEY_SET_SIGNATURE_CONTEXT,
} from "../src/names.js";

const root = generateKeyPairSync("ed25519");
const other = generateKeyPairSync("ed25519");
const goalKey = generateKeyPairSync("ed25519").publicKey;
const membershipKey = generateKeyPairSync("ed25519").publicKey;
const trusted = (publicKey = goalKey, notAfter?: Date) => ({
  publicKey: rawPublicKey(publicKey),
  notAfter,
});
const end = new Date("2031-01-01T00:00:00Z");
const set: KeySet = {
  version: 3,
  issueTime: new Date("2030-01-01T00:00:00Z"),
  goalKeys: [trusted(goalKey, end)],
  membershipKeys: [trusted(membershipKey)],
  revokedKeyIds: ["00112233aabbccdd"],
};
const signedSet = signKeySet(set, [root.privateKey]);

/** A set that says something else, properly signed by the root key. */
function signed(change: Partial<KeySet>, context = KEY_SET_SIGNATURE_CONTEXT): Buffer {
  return signedBytes(KeySet.encode({ ...set, ...change }).finish(), context);
}

function signedBytes(bytes: Uint8Array, context = KEY_SET_SIGNATURE_CONTEXT): Buffer {
  const payload = Buffer.from(bytes);
  const signature = sign(null, Buffer.concat([Buffer.from(context), payload]), root.privateKey);
  return envelope({ payload, signatures: [{ signature, keyId: shortKeyId(root.publicKey) }] });
}

function envelope(change: Partial<SignedKeySet>): Buffer {
  return Buffer.from(
    SignedKeySet.encode({ ...SignedKeySet.decode(signedSet), ...change }).finish(),
  );
}

function refusal(value: Uint8Array, keys = [root.publicKey]): string {
  try {
    verifyKeySet(value, keys);
  } catch (error) {
    assert.instance(error, KeySetRefusedError);
    return (error as Error).message;
  }
  return "";
}

test("a key set comes back as it was signed", () => {
  const read = verifyKeySet(signedSet, [root.publicKey]);
  assert.is(read.version, 3);
  assert.equal(read.issueTime, set.issueTime);
  assert.equal(
    read.goalKeys.map(({ keyId, notAfter }) => [keyId, notAfter]),
    [[shortKeyId(goalKey), end]],
  );
  assert.is(read.goalKeys[0]?.publicKey.equals(goalKey), true);
  assert.equal(
    read.membershipKeys.map(({ keyId, notAfter }) => [keyId, notAfter]),
    [[shortKeyId(membershipKey), undefined]],
  );
  assert.equal([...read.revokedKeyIds], set.revokedKeyIds);
  assert.equal(read.signed, signedSet);
});

test("one root key that the reader knows is enough", () => {
  const both = signKeySet(set, [other.privateKey, root.privateKey]);
  for (const { publicKey } of [root, other]) assert.is(verifyKeySet(both, [publicKey]).version, 3);
  assert.is(verifyKeySet(signedSet, [other.publicKey, root.publicKey]).version, 3);
});

test("the signature can be left to others, the form cannot", () => {
  assert.is(verifyKeySet(envelope({ signatures: [] }), undefined).version, 3);
  assert.throws(() => verifyKeySet(signed({ version: 0 }), undefined), /no version/);
});

test("nobody signs a set that nobody would take", () => {
  assert.throws(() => signKeySet({ ...set, goalKeys: [] }, [root.privateKey]), /no goal key/);
  assert.throws(() => signKeySet(set, []), /not signed/);
});

const [wholeSignature] = SignedKeySet.decode(signedSet).signatures;
const [othersSignature] = SignedKeySet.decode(signKeySet(set, [other.privateKey])).signatures;
if (wholeSignature === undefined || othersSignature === undefined) throw new Error("not signed");
/** Appended to a set's bytes: an issue time that no clock has. */
const NO_TIME = Buffer.from("1209088080808080808002", "hex");
const many = <T>(count: number, one: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => one(index));
const keyOfByte = (index: number) => ({
  publicKey: Buffer.alloc(32, index + 1),
  notAfter: undefined,
});

for (const [what, [value, reason]] of Object.entries<[Uint8Array, RegExp]>({
  nothing: [Buffer.alloc(0), /not signed/],
  "no signature": [envelope({ signatures: [] }), /not signed/],
  "another's signature": [
    signKeySet(set, [other.privateKey]),
    /not signed by the root key, but by/,
  ],
  "another's signature under the root's name": [
    envelope({ signatures: [{ ...wholeSignature, signature: othersSignature.signature }] }),
    /does not fit/,
  ],
  "a short signature": [
    envelope({
      signatures: [{ ...wholeSignature, signature: wholeSignature.signature.subarray(1) }],
    }),
    /does not fit/,
  ],
  "another payload": [
    envelope({ payload: Buffer.from(KeySet.encode({ ...set, version: 4 }).finish()) }),
    /does not fit/,
  ],
  "a signature of something else": [signed({}, GOAL_SIGNATURE_CONTEXT), /does not fit/],
  "too many signatures": [
    envelope({ signatures: many(9, () => wholeSignature) }),
    /more than 8 sig/,
  ],
  "too much": [Buffer.alloc(KEY_SET_MAX_BYTES + 1), /larger than/],
  "no version": [signed({ version: 0 }), /no version/],
  "no issue time": [signed({ issueTime: undefined }), /no issue time/],
  "an issue time that is none": [
    signedBytes(Buffer.concat([KeySet.encode(set).finish(), NO_TIME])),
    /no issue time/,
  ],
  "no goal key": [signed({ goalKeys: [] }), /no goal key/],
  "no membership key": [signed({ membershipKeys: [] }), /no membership key/],
  "a short key": [
    signed({ goalKeys: [{ publicKey: Buffer.alloc(31), notAfter: undefined }] }),
    /has 31 bytes/,
  ],
  "a key twice": [signed({ goalKeys: [trusted(), trusted(goalKey, end)] }), /goal key .* twice/],
  "too many keys": [
    signed({ membershipKeys: many(33, keyOfByte) }),
    /more than 32 membership keys/,
  ],
  "too many revoked": [
    signed({ revokedKeyIds: many(1_001, (index) => index.toString(16).padStart(16, "0")) }),
    /more than 1000/,
  ],
  "a revoked id that is none": [signed({ revokedKeyIds: ["AABB"] }), /"AABB", which is no key id/],
  "a key that it revokes": [
    signed({ revokedKeyIds: [shortKeyId(membershipKey)] }),
    /has membership key .* and revokes it/,
  ],
})) {
  test(`a key set is refused: ${what}`, () => assert.match(refusal(value), reason));
}

test("any bytes are a key set or refused, and nothing of it is changed unseen", () => {
  const change = fc.record({
    at: fc.nat(signedSet.length - 1),
    bit: fc.integer({ min: 1, max: 255 }),
  });
  const changed = change.map(({ at, bit }) => {
    const value = Buffer.from(signedSet);
    value[at] = (value[at] ?? 0) ^ bit;
    return value;
  });
  const cut = fc.nat(signedSet.length - 1).map((length) => signedSet.subarray(0, length));
  fc.assert(
    fc.property(fc.oneof(changed, cut, fc.uint8Array({ maxLength: 300 })), (value) => {
      let said;
      try {
        said = verifyKeySet(value, [root.publicKey]);
      } catch (error) {
        assert.instance(error, KeySetRefusedError);
        return;
      }
      // A change of what the signature does not cover, such as a field that is not known.
      assert.equal(SignedKeySet.decode(value).payload, SignedKeySet.decode(signedSet).payload);
      assert.is(said.version, 3);
    }),
    { numRuns: 2_000 },
  );
});

test("any payload that the root key signed is read within its bounds, or refused", () => {
  const key = fc.record({
    publicKey: fc.uint8Array({ minLength: 31, maxLength: 32 }).map((all) => Buffer.from(all)),
    notAfter: fc.option(fc.date({ noInvalidDate: true }), { nil: undefined }),
  });
  const any = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .record({
        version: fc.nat(Number.MAX_SAFE_INTEGER),
        issueTime: fc.option(fc.date({ noInvalidDate: true }), { nil: undefined }),
        goalKeys: fc.array(key, { maxLength: 3 }),
        membershipKeys: fc.array(key, { maxLength: 3 }),
        revokedKeyIds: fc.array(fc.stringMatching(/^[0-9a-f]{15,16}$/), { maxLength: 3 }),
      })
      .map((one) => KeySet.encode(one).finish()),
  );
  fc.assert(
    fc.property(any, (bytes) => {
      let read;
      try {
        read = verifyKeySet(signedBytes(bytes), [root.publicKey]);
      } catch (error) {
        assert.instance(error, KeySetRefusedError);
        return;
      }
      assert.ok(read.version >= 1 && Number.isSafeInteger(read.version));
      for (const { publicKey, notAfter } of [...read.goalKeys, ...read.membershipKeys]) {
        assert.is(rawPublicKey(publicKey).length, 32);
        assert.not(Number.isNaN(notAfter?.getTime() ?? 0));
      }
    }),
    { numRuns: 1_000 },
  );
});

test.run();
