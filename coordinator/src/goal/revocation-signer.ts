import {
  RevocationList,
  REVOCATIONS_SIGNATURE_CONTEXT,
  type SignedRevocationList,
} from "@slipway/proto";
import type { Signer } from "../keys/signer.js";
import { isSealedBy, NO_OTHER_KEYS, seal } from "./signing.js";

/** Signs revocations with the fleet's goal key. */
export interface RevocationSigner {
  readonly keyId: string;
  /** @throws SignerError if it cannot be done now. */
  sign(list: RevocationList): Promise<SignedRevocationList>;
  /** The list that was signed; undefined unless it was with this key, or another one that holds. */
  open(signed: SignedRevocationList): RevocationList | undefined;
}

export function createRevocationSigner(signer: Signer, others = NO_OTHER_KEYS): RevocationSigner {
  return {
    keyId: signer.keyId,
    sign: (list) =>
      seal(signer, REVOCATIONS_SIGNATURE_CONTEXT, RevocationList.encode(list).finish()),
    open: (signed) => {
      const key = signed.keyId === signer.keyId ? signer.publicKey : others.goalKey(signed.keyId);
      if (key === undefined || !isSealedBy(key, REVOCATIONS_SIGNATURE_CONTEXT, signed))
        return undefined;
      return RevocationList.decode(signed.payload);
    },
  };
}
