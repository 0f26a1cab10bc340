import { type KeyObject, sign } from "node:crypto";
import { fromPublic, fromSeed, type KeyPair } from "@nats-io/jwt";
import { isSignatureOf, privateKeyOf, publicKeyOf, RAW_KEY_BYTES } from "@slipway/proto";

// The library's own Ed25519 is JavaScript: a signature takes it 6 ms, OpenSSL a twentieth of one.
const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** What the library signs with, made of a seed. @throws NKeysError if it is none. */
export function fastPair(seed: string): KeyPair {
  const pair = fromSeed(new TextEncoder().encode(seed));
  const publicKey = pair.getPublicKey();
  const key = privateKeyOf(keyIn(seed, 2));
  return {
    getPublicKey: () => publicKey,
    getPrivateKey: () => pair.getPrivateKey(),
    getSeed: () => pair.getSeed(),
    sign: (input) => sign(null, input, key),
    verify: (input, signature) => isSignatureOf(publicKeyObject(publicKey), input, signature),
    clear: () => pair.clear(),
    seal: (input, recipient, nonce) => pair.seal(input, recipient, nonce),
    open: (input, sender) => pair.open(input, sender),
  };
}

/** Whether the holder of a public key signed the bytes. @throws NKeysError if it is no public key. */
export function isSignedBy(text: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  fromPublic(text);
  return isSignatureOf(publicKeyObject(text), bytes, signature);
}

function publicKeyObject(text: string): KeyObject {
  return publicKeyOf(keyIn(text, 1));
}

/** The key's bytes, behind so many that say of what kind it is, and before a checksum. */
function keyIn(text: string, prefixBytes: number): Buffer {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text) {
    value = ((value << 5) | BASE32.indexOf(character)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  return Buffer.from(bytes.slice(prefixBytes, prefixBytes + RAW_KEY_BYTES));
}
