import { generateKeyPairSync, sign } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  MEMBERSHIP_SIGNATURE_CONTEXT,
  Membership,
  MembershipCertificate,
  Role,
} from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  IdentityError,
  certificateExpiry,
  createIdentity,
  readPrivateKey,
  readPublicKey,
} from "../../src/swarm/identity.js";
import { readIdentity, writeIdentity } from "../../src/swarm/identity-file.js";
import { MembershipError, membershipKeysOf, verifyMembership } from "../../src/swarm/membership.js";
import { OFFER_MS, OfferBook } from "../../src/swarm/offers.js";
import { temporaryDirectory } from "../store/fixtures.js";

const fleet = generateKeyPairSync("ed25519");
const NOW = Date.UTC(2030, 0, 1);
const expireTime = new Date(NOW + 1_000);
const identity = createIdentity({
  id: "h1",
  region: "eu",
  role: "host",
  membershipKey: fleet.privateKey,
  expireTime,
});
const certificate = MembershipCertificate.decode(identity.certificate);
const expected = {
  keys: membershipKeysOf(fleet.publicKey),
  remotePublicKey: identity.publicKey,
  region: "eu",
  now: NOW,
};

/** A certificate that says something else, properly signed. */
function signed(change: Partial<Membership>, context = MEMBERSHIP_SIGNATURE_CONTEXT) {
  const membership = { ...Membership.decode(certificate.payload), ...change };
  const payload = Buffer.from(Membership.encode(membership).finish());
  const signature = sign(null, Buffer.concat([Buffer.from(context), payload]), fleet.privateKey);
  return { payload, signature };
}

test("a member's certificate is accepted", () => {
  const membership = verifyMembership(certificate, expected);
  assert.is(membership.id, "h1");
  assert.is(membership.role, Role.HOST);
  assert.is(membership.expireTime?.getTime(), expireTime.getTime());
});

for (const [what, [given, options, reason]] of Object.entries<
  [MembershipCertificate | undefined, Partial<typeof expected>, RegExp]
>({
  "no certificate": [undefined, {}, /no certificate/],
  "another fleet's": [
    certificate,
    { keys: membershipKeysOf(generateKeyPairSync("ed25519").publicKey) },
    /not signed/,
  ],
  "a changed payload": [
    { ...certificate, payload: Buffer.from(certificate.payload).fill(1, 40, 41) },
    {},
    /not signed/,
  ],
  "no signature": [{ ...certificate, signature: Buffer.alloc(0) }, {}, /not signed/],
  "signed for another purpose": [signed({}, "slipway goal v1\n"), {}, /not signed/],
  "another key's": [certificate, { remotePublicKey: Buffer.alloc(32) }, /another key/],
  "another region's": [certificate, { region: "us" }, /region eu/],
  "an unknown role": [signed({ role: Role.UNSPECIFIED }), {}, /role/],
  "an expired one": [certificate, { now: expireTime.getTime() }, /expired/],
  "one without an end": [signed({ expireTime: undefined }), {}, /expired/],
})) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => verifyMembership(given, { ...expected, ...options }),
      (error: unknown) => error instanceof MembershipError && reason.test(error.message),
    );
  });
}

test("an identity is written for its owner only, never over another, and read again", async () => {
  const { dir, remove } = await temporaryDirectory();
  try {
    const file = path.join(dir, "identity.json");
    await writeIdentity(file, identity);
    assert.is((await stat(file)).mode & 0o777, 0o600);
    assert.equal(await readIdentity(file), identity);
    await fails(writeIdentity(file, identity), "EEXIST");
    const json = JSON.parse(await readFile(file, "utf8")) as Record<string, string>;
    for (const [text, reason] of [
      ["{", "no JSON"],
      ["7", "no identity"],
      [JSON.stringify({ ...json, id: undefined }), "no id"],
      [JSON.stringify({ ...json, role: "king" }), "no valid role"],
      [JSON.stringify({ ...json, secretKey: "abcd" }), "wrong length"],
    ] as const) {
      await writeFile(file, text);
      await fails(readIdentity(file), reason);
    }
    const pem = path.join(dir, "key");
    await writeFile(pem, fleet.privateKey.export({ type: "pkcs8", format: "pem" }));
    assert.is((await readPrivateKey(pem)).type, "private");
    await writeFile(pem, fleet.publicKey.export({ type: "spki", format: "pem" }));
    assert.is((await readPublicKey(pem)).asymmetricKeyType, "ed25519");
    await writeFile(pem, "nothing");
    await fails(readPublicKey(pem), "no key");
  } finally {
    await remove();
  }
});

test("an identity says when its certificate expires", () => {
  assert.equal(certificateExpiry(identity), expireTime);
  const endless = signed({ expireTime: undefined });
  for (const wrong of [
    Buffer.from("x"),
    Buffer.from(MembershipCertificate.encode(endless).finish()),
  ]) {
    assert.throws(
      () => certificateExpiry({ certificate: wrong }),
      (error: unknown) => error instanceof IdentityError,
    );
  }
});

test("only names can be identities", () => {
  const options = {
    region: "eu",
    role: "host" as const,
    membershipKey: fleet.privateKey,
    expireTime,
  };
  assert.throws(() => createIdentity({ ...options, id: "No Name" }), /not a valid id/);
});

test("an offer is good once, for a while, and few at a time", () => {
  const book = new OfferBook();
  const offer = book.issue("a", 0);
  assert.ok(offer);
  assert.is(offer.identity.length, 16);
  assert.is(offer.key.length, 32);
  const identityHex = offer.identity.toString("hex");
  assert.is(book.take(identityHex, OFFER_MS - 1)?.peer, "a");
  assert.is(book.take(identityHex, 1), undefined, "used up");
  assert.is(book.take("00".repeat(16), 1), undefined);
  const late = book.issue("a", 0);
  assert.is(book.take(late?.identity.toString("hex") ?? "", OFFER_MS), undefined, "too late");
  for (let count = 0; count < 4; count++) assert.ok(book.issue("b", 0));
  assert.is(book.issue("b", 1), undefined, "one too many");
  assert.ok(book.issue("c", 1));
  assert.ok(book.issue("b", OFFER_MS), "the old ones are gone");
  book.forget("b");
});

async function fails(promise: Promise<unknown>, reason: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.match(String(error), reason);
}

test.run();
