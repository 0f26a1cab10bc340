import type { KeyObject } from "node:crypto";
import {
  type Artifact,
  decodeProvenance,
  ProvenanceRefusedError,
  verifyProvenance,
} from "@slipway/proto";
import type { Knex } from "knex";
import type { Clock } from "../context.js";
import { failedPrecondition } from "../errors.js";
import type { LeaseKey } from "../queue/queue.js";
import { type LeaseFacts, readFacts } from "./facts.js";
import type { KeptProvenance } from "./store.js";

const HOW_TO_SIGN =
  "give the builder an identity (--identity FILE, and a join token for its first start), and see " +
  "that its certificate is renewed";

interface JudgeOptions {
  db: Knex;
  clock: Clock;
  /** Builds whose builder signed nothing do not succeed. */
  isRequired: boolean;
  /** Of which one must have signed a builder's certificate; undefined: none are known. */
  membershipKeys: () => readonly KeyObject[] | undefined;
}

/** What becomes of a completion. */
export type Judgement =
  /** It may succeed. */
  | { kind: "taken"; provenance: KeptProvenance | undefined }
  /** It does not; why, and whether another attempt is left. */
  | { kind: "refused"; message: string; retry: boolean }
  /** The build is another builder's, or another attempt's. */
  | { kind: "lost" };

/** Decides whether what a builder signed of a build fits it. */
export class ProvenanceJudge {
  readonly #options: JudgeOptions;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /** @throws DomainError FAILED_PRECONDITION for a builder that could complete nothing here. */
  checkHello(builderId: string, signsProvenance: boolean): void {
    if (!this.#options.isRequired || signsProvenance) return;
    throw failedPrecondition(
      "PROVENANCE_REQUIRED",
      `builder ${builderId} signs nothing, and only signed builds are taken here: ${HOW_TO_SIGN}`,
    );
  }

  /** Touches nothing for a completion that is not signed and need not be. */
  async judge(lease: LeaseKey, artifact: Artifact, signed: Buffer): Promise<Judgement> {
    const { db, isRequired } = this.#options;
    if (signed.length === 0 && !isRequired) return { kind: "taken", provenance: undefined };
    const facts = await readFacts(db, lease, artifact);
    if (facts === undefined) return { kind: "lost" };
    try {
      return { kind: "taken", provenance: this.#verify(facts, signed) };
    } catch (error) {
      if (!(error instanceof ProvenanceRefusedError)) throw error;
      const { attempt, builderId, maxAttempts } = facts;
      const message = `the provenance of builder ${builderId} was refused: ${error.message}`;
      return { kind: "refused", message, retry: attempt < maxAttempts };
    }
  }

  /** @throws ProvenanceRefusedError */
  #verify(facts: LeaseFacts, signed: Buffer): KeptProvenance {
    const { builderId, isRevoked } = facts;
    if (signed.length === 0) {
      const message = `it signed nothing, and only signed builds are taken: ${HOW_TO_SIGN}`;
      throw new ProvenanceRefusedError("missing", message);
    }
    if (isRevoked) {
      const message = `builder ${builderId} was taken out of the fleet`;
      throw new ProvenanceRefusedError("untrusted", message);
    }
    const { keyId, membershipKeyId } = verifyProvenance(decodeProvenance(signed), {
      facts,
      membershipKeys: this.#options.membershipKeys(),
      time: new Date(this.#options.clock.now()),
    });
    return { signed, keyId, membershipKeyId };
  }
}
