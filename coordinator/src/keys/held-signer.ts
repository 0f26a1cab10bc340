import type { Stats } from "../stats.js";
import { type KeyUse, type Signer, SignerError } from "./signer.js";

interface Options {
  use: KeyUse;
  /** Why the key does not hold at this moment, by the fleet's key set. */
  fault: () => string | undefined;
  stats: Pick<Stats, "signatures">;
}

/** A signer that signs nothing while its key does not hold, and counts what becomes of each call. */
export function holdSigner(signer: Signer, { use, fault, stats }: Options): Signer {
  const tally = stats.signatures[use];
  return {
    keyId: signer.keyId,
    publicKey: signer.publicKey,
    async sign(bytes) {
      try {
        const reason = fault();
        if (reason !== undefined) throw new SignerError("not_held", reason, {});
        const signature = await signer.sign(bytes);
        tally.add("signed");
        return signature;
      } catch (error) {
        if (error instanceof SignerError) tally.add(error.failure);
        throw error;
      }
    },
  };
}
