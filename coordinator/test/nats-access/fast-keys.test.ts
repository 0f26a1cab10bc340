import { createAccount, createUser, fromPublic } from "@nats-io/jwt";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fastPair, isSignedBy } from "../../src/nats-access/fast-keys.js";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const message = Buffer.from("who I am");

test("is the library's key, whichever it is, and signs the same", () => {
  for (let i = 0; i < 20; i++) {
    const theirs = i % 2 === 0 ? createAccount() : createUser();
    const ours = fastPair(text(theirs.getSeed()));
    assert.is(ours.getPublicKey(), theirs.getPublicKey());
    assert.is(text(ours.getSeed()), text(theirs.getSeed()));
    const signature = ours.sign(message);
    assert.equal(Buffer.from(signature), Buffer.from(theirs.sign(message)));
    assert.ok(fromPublic(theirs.getPublicKey()).verify(message, signature));
    assert.ok(ours.verify(message, signature));
    assert.ok(isSignedBy(theirs.getPublicKey(), message, signature));
    assert.not(isSignedBy(theirs.getPublicKey(), Buffer.from("who I am not"), signature));
    assert.not(isSignedBy(createUser().getPublicKey(), message, signature));
  }
});

test("refuses what is no key", () => {
  const user = createUser();
  const other = user.getPublicKey().replace(/.$/, (last) => (last === "A" ? "B" : "A"));
  for (const wrong of ["", "U", other, text(user.getSeed())]) {
    assert.throws(() => isSignedBy(wrong, message, Buffer.alloc(64)), undefined, wrong);
  }
  assert.throws(() => fastPair(user.getPublicKey()));
});

test.run();
