import { RevocationList, REVOCATIONS_SIGNATURE_CONTEXT } from "@slipway/proto";
import type { Signer } from "../keys/signer.js";
import { createSealer, NO_OTHER_KEYS, type SealedType, type Sealer } from "./sealer.js";

const REVOCATIONS: SealedType<RevocationList> = {
  context: REVOCATIONS_SIGNATURE_CONTEXT,
  codec: RevocationList,
};

/** Signs revocations with the fleet's goal key. */
export type RevocationSigner = Sealer<RevocationList>;

export function createRevocationSigner(signer: Signer, others = NO_OTHER_KEYS): RevocationSigner {
  return createSealer(REVOCATIONS, signer, others);
}
