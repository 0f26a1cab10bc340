import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** "slipway_", an id, "_", 256 random bits: found by secret scanners, told apart by its id. */
const PATTERN = /^slipway_([0-9a-f]{24})_([A-Za-z0-9_-]{43})$/;
export const TOKEN_ID_PATTERN = /^[0-9a-f]{24}$/;
/** What an unknown id is compared with, so that it takes the time that a known one takes. */
const DUMMY_HASH = hashSecret(randomBytes(32).toString("base64url"));

export interface ParsedToken {
  id: string;
  secret: string;
}

/** A new token's id and secret. */
export function makeToken(): ParsedToken {
  return { id: randomBytes(12).toString("hex"), secret: randomBytes(32).toString("base64url") };
}

export const tokenText = ({ id, secret }: ParsedToken): string => `slipway_${id}_${secret}`;

/** Undefined if it is no token's text. */
export function parseToken(text: string): ParsedToken | undefined {
  const [, id, secret] = PATTERN.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/** A fast hash does: a secret of 256 random bits can't be guessed from it. */
export function hashSecret(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

/** Whether the secret is that of the hash; never of an undefined one. In constant time. */
export function isSecretOf(secret: string, hash: Buffer | undefined): boolean {
  const isSame = timingSafeEqual(hashSecret(secret), hash ?? DUMMY_HASH);
  return isSame && hash !== undefined;
}
