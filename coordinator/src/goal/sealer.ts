import type { KeyObject } from "node:crypto";
import { isSignatureOf, type SignedGoal, signedMessage } from "@slipway/proto";
import type { Signer } from "../keys/signer.js";

/** What a key has signed, as goals and lists of revocations have it. */
export type Sealed = SignedGoal;

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

/** Signs messages of one type with the fleet's goal key. */
export interface Sealer<T> {
  /** First 8 bytes of SHA-256 of the raw public key, in hexadecimal. */
  readonly keyId: string;
  /** @throws SignerError if it cannot be done now. */
  sign(message: T): Promise<Sealed>;
  /** What was signed; undefined unless it was with this key, or another one that holds. */
  open(sealed: Sealed): T | undefined;
}

/** A type of messages, and the context in which they are signed. */
export interface SealedType<T> {
  readonly context: string;
  readonly codec: {
    encode(message: T): { finish(): Uint8Array };
    decode(payload: Uint8Array): T;
  };
}

export function createSealer<T>(
  type: SealedType<T>,
  signer: Signer,
  others: OtherGoalKeys,
): Sealer<T> {
  return {
    keyId: signer.keyId,
    sign: async (message) => {
      const payload = Buffer.from(type.codec.encode(message).finish());
      const signature = await signer.sign(signedMessage(type.context, payload));
      return { payload, signature, keyId: signer.keyId };
    },
    open: (sealed) => {
      const key = sealed.keyId === signer.keyId ? signer.publicKey : others.goalKey(sealed.keyId);
      return key && openSealed(type, sealed, key);
    },
  };
}

/** What was signed; undefined unless the signature is of this public key, in this type's context. */
export function openSealed<T>(
  { context, codec }: SealedType<T>,
  { payload, signature }: Sealed,
  publicKey: KeyObject,
): T | undefined {
  const fits = isSignatureOf(publicKey, signedMessage(context, payload), signature);
  return fits ? codec.decode(payload) : undefined;
}
