import { createPrivateKey, createPublicKey, sign, type KeyObject } from "node:crypto";
import { shortKeyId } from "@slipway/proto";

/** What a key of the coordinators signs: goals and revocations, or memberships. */
export type KeyUse = "goal" | "membership";

/** Signs with one of the fleet's Ed25519 keys, wherever that is. */
export interface Signer {
  /** First 8 bytes of SHA-256 of the raw public key, in hexadecimal. */
  readonly keyId: string;
  readonly publicKey: KeyObject;
  /** 64 bytes of Ed25519. @throws SignerError if it cannot be done now. */
  sign(bytes: Buffer): Promise<Buffer>;
}

/** Why nothing was signed. */
export type SignerFailure =
  /** It could not be started, or said itself that it failed. */
  | "failed"
  | "timed_out"
  /** Its answer is no signature. */
  | "malformed"
  /** Its answer is no signature by the public key. */
  | "mismatched"
  /** Too much waits for it already. */
  | "full"
  /** The fleet's key set says that the key does not hold. */
  | "not_held"
  /** The coordinator stops. */
  | "stopped";

/** Nothing was signed: the message says in one line why not. The same may succeed later. */
export class SignerError extends Error {
  override readonly name = "SignerError";
  readonly failure: SignerFailure;
  /** The end of what the command said on standard error; for the log. */
  readonly stderr: string | undefined;

  constructor(failure: SignerFailure, message: string, more: { cause?: unknown; stderr?: string }) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.failure = failure;
    this.stderr = more.stderr;
  }
}

/** A signer with a private key in PEM (PKCS#8), of that file. @throws Error with a one-line reason. */
export function createKeySigner(pem: string, use: KeyUse, file = ""): Signer {
  const privateKey = parsePrivateKey(pem, `${use} key ${file}`.trimEnd());
  const publicKey = createPublicKey(privateKey);
  return {
    keyId: shortKeyId(publicKey),
    publicKey,
    sign: (bytes) => Promise.resolve(sign(null, bytes, privateKey)),
  };
}

/** An Ed25519 key; `what` it is, for errors. @throws Error with a one-line reason. */
export function parsePrivateKey(pem: string, what: string): KeyObject {
  return parse(what, "private", () => createPrivateKey(pem));
}

/** The same of a public key in PEM (SPKI). @throws Error with a one-line reason. */
export function parsePublicKey(pem: string, what: string): KeyObject {
  return parse(what, "public", () => {
    // A private key would do as well, which has no business where a public one is expected.
    if (pem.includes("PRIVATE KEY")) throw A_PRIVATE_KEY;
    return createPublicKey(pem);
  });
}

const A_PRIVATE_KEY = new Error("a private key");

function parse(what: string, kind: "private" | "public", read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    const why = error === A_PRIVATE_KEY ? ": it is a private one" : "";
    throw new Error(`the ${what} is not a ${kind} key in PEM${why}`, { cause: error });
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new Error(`the ${what} must be an Ed25519 key, not ${key.asymmetricKeyType}`);
  }
  return key;
}
