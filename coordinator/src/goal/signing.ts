import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";
import { Goal, GOAL_SIGNATURE_CONTEXT, type SignedGoal } from "@slipway/proto";

const CONTEXT = Buffer.from(GOAL_SIGNATURE_CONTEXT);
// DER of an Ed25519 public key (SPKI): a fixed head of 12 bytes, then the 32 raw ones.
const RAW_PUBLIC_KEY_OFFSET = 12;

/** Signs goals with the fleet's goal key. */
export interface GoalSigner {
  /** First 8 bytes of SHA-256 of the raw public key, in hexadecimal. */
  readonly keyId: string;
  sign(goal: Goal): SignedGoal;
  /** The goal that was signed; undefined unless it was with this key. */
  open(signed: SignedGoal): Goal | undefined;
}

/**
 * A signer from a private key in PEM (PKCS#8).
 * @throws Error with a one-line reason if it is not an Ed25519 private key.
 */
export function createGoalSigner(pem: string): GoalSigner {
  const privateKey = parsePrivateKey(pem);
  const publicKey = createPublicKey(privateKey);
  const id = keyId(publicKey);
  return {
    keyId: id,
    sign: (goal) => {
      const payload = Buffer.from(Goal.encode(goal).finish());
      const signature = sign(null, Buffer.concat([CONTEXT, payload]), privateKey);
      return { payload, signature, keyId: id };
    },
    open: (signed) => openSignedGoal(signed, publicKey),
  };
}

/** The goal that was signed; undefined unless the signature is of this public key. */
export function openSignedGoal(signed: SignedGoal, publicKey: KeyObject): Goal | undefined {
  const message = Buffer.concat([CONTEXT, signed.payload]);
  if (!verify(null, message, publicKey, signed.signature)) return undefined;
  return Goal.decode(signed.payload);
}

/** How a signature names its key: first 8 bytes of SHA-256 of the raw key, in hexadecimal. */
export function keyId(publicKey: KeyObject): string {
  const der = publicKey.export({ type: "spki", format: "der" });
  const raw = der.subarray(RAW_PUBLIC_KEY_OFFSET);
  return createHash("sha256").update(raw).digest().subarray(0, 8).toString("hex");
}

/** An Ed25519 key; `what` it is, for errors. @throws Error with a one-line reason. */
export function parsePrivateKey(pem: string, what = "goal key"): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new Error(`the ${what} is not a private key in PEM`, { cause: error });
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new Error(`the ${what} must be an Ed25519 key, not ${key.asymmetricKeyType}`);
  }
  return key;
}
