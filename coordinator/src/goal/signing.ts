import type { KeyObject } from "node:crypto";
import {
  Goal,
  GOAL_SIGNATURE_CONTEXT,
  isSignatureOf,
  type SignedGoal,
  signedMessage,
} from "@slipway/proto";
import type { Signer } from "../keys/signer.js";

/** What the fleet's key set says of goal keys beside the coordinator's own. */
export interface OtherGoalKeys {
  /** One that holds. */
  goalKey(keyId: string): KeyObject | undefined;
  isRevoked(keyId: string): boolean;
}

/** Without a key set there are none. */
export const NO_OTHER_KEYS: OtherGoalKeys = {
  goalKey: () => undefined,
  isRevoked: () => false,
};

/** What a key has signed, as goals and lists of revocations have it. */
export type Sealed = SignedGoal;

/** Signs goals with the fleet's goal key. */
export interface GoalSigner {
  /** First 8 bytes of SHA-256 of the raw public key, in hexadecimal. */
  readonly keyId: string;
  /** @throws SignerError if it cannot be done now. */
  sign(goal: Goal): Promise<SignedGoal>;
  /** The goal that was signed; undefined unless it was with this key, or another one that holds. */
  open(signed: SignedGoal): Goal | undefined;
  /** Nothing that names this key counts any more, not even for the order of goals. */
  isRevoked(keyId: string): boolean;
}

export function createGoalSigner(signer: Signer, others = NO_OTHER_KEYS): GoalSigner {
  return {
    keyId: signer.keyId,
    sign: (goal) => seal(signer, GOAL_SIGNATURE_CONTEXT, Goal.encode(goal).finish()),
    open: (signed) => {
      const key = signed.keyId === signer.keyId ? signer.publicKey : others.goalKey(signed.keyId);
      return key && openSignedGoal(signed, key);
    },
    isRevoked: (keyId) => others.isRevoked(keyId),
  };
}

/** The goal that was signed; undefined unless the signature is of this public key. */
export function openSignedGoal(signed: SignedGoal, publicKey: KeyObject): Goal | undefined {
  return isSealedBy(publicKey, GOAL_SIGNATURE_CONTEXT, signed)
    ? Goal.decode(signed.payload)
    : undefined;
}

/** The bytes, signed after their context. @throws SignerError if it cannot be done now. */
export async function seal(signer: Signer, context: string, bytes: Uint8Array): Promise<Sealed> {
  const payload = Buffer.from(bytes);
  const signature = await signer.sign(signedMessage(context, payload));
  return { payload, signature, keyId: signer.keyId };
}

/** Whether the signature is of this public key, in this context. */
export function isSealedBy(
  publicKey: KeyObject,
  context: string,
  { payload, signature }: Pick<Sealed, "payload" | "signature">,
): boolean {
  return isSignatureOf(publicKey, signedMessage(context, payload), signature);
}
