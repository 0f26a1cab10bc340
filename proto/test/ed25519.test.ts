import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  isSignatureOf,
  KEY_ID_PATTERN,
  privateKeyOf,
  publicKeyOf,
  rawPublicKey,
  shortKeyId,
  signedMessage,
} from "../src/ed25519.js";

// RFC 8032, section 7.1, test 3.
const seed = Buffer.from("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "hex");
const raw = Buffer.from("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "hex");
const message = Buffer.from("af82", "hex");
const signature = Buffer.from(
  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac" +
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  "hex",
);

test("keys are what their 32 bytes say, both ways", () => {
  const privateKey = privateKeyOf(seed);
  assert.equal(sign(null, message, privateKey), signature);
  assert.equal(rawPublicKey(createPublicKey(privateKey)), raw);
  assert.ok(publicKeyOf(raw).equals(createPublicKey(privateKey)));
});

test("what has not 32 bytes is no key, and other kinds of keys have no raw bytes", () => {
  for (const length of [0, 31, 33]) {
    assert.throws(() => publicKeyOf(Buffer.alloc(length)), RangeError);
    assert.throws(() => privateKeyOf(Buffer.alloc(length)), RangeError);
  }
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  assert.throws(() => rawPublicKey(publicKey), TypeError);
  assert.throws(() => shortKeyId(publicKey), TypeError);
});

test("a key's id is the start of its hash", () => {
  const id = shortKeyId(publicKeyOf(raw));
  // printf HEX | xxd -r -p | sha256sum | cut -c1-16
  assert.is(id, "dac073e0123bdea5");
  assert.match(id, KEY_ID_PATTERN);
});

test("a signature is of its key and message, and whole", () => {
  const key = publicKeyOf(raw);
  const other = generateKeyPairSync("ed25519").publicKey;
  const cases: readonly [boolean, boolean][] = [
    [isSignatureOf(key, message, signature), true],
    [isSignatureOf(other, message, signature), false],
    [isSignatureOf(key, Buffer.from("af83", "hex"), signature), false],
    [isSignatureOf(key, message, signature.subarray(0, 63)), false],
    [isSignatureOf(key, message, Buffer.concat([signature, Buffer.alloc(1)])), false],
    [isSignatureOf(key, message, Buffer.alloc(0)), false],
  ];
  for (const [index, [is, expected]] of cases.entries()) assert.is(is, expected, `case ${index}`);
});

test("what is signed begins with its context", () => {
  const signed = signedMessage("slipway x v1\n", Uint8Array.of(1, 2));
  assert.equal(signed, Buffer.from("slipway x v1\n\x01\x02"));
});

test.run();
