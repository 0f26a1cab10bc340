import { createPublicKey, sign, verify } from "node:crypto";
import {
  RevocationList,
  REVOCATIONS_SIGNATURE_CONTEXT,
  type SignedRevocationList,
} from "@slipway/proto";
import { keyId, parsePrivateKey } from "./signing.js";

const CONTEXT = Buffer.from(REVOCATIONS_SIGNATURE_CONTEXT);

/** Signs revocations with the fleet's goal key. */
export interface RevocationSigner {
  sign(list: RevocationList): SignedRevocationList;
  /** The list that was signed; undefined unless it was with this key. */
  open(signed: SignedRevocationList): RevocationList | undefined;
}

/** @throws Error with a one-line reason if the PEM is not an Ed25519 private key. */
export function createRevocationSigner(pem: string): RevocationSigner {
  const privateKey = parsePrivateKey(pem);
  const publicKey = createPublicKey(privateKey);
  return {
    sign: (list) => {
      const payload = Buffer.from(RevocationList.encode(list).finish());
      const signature = sign(null, Buffer.concat([CONTEXT, payload]), privateKey);
      return { payload, signature, keyId: keyId(publicKey) };
    },
    open: ({ payload, signature }) => {
      if (!verify(null, Buffer.concat([CONTEXT, payload]), publicKey, signature)) return undefined;
      return RevocationList.decode(payload);
    },
  };
}
