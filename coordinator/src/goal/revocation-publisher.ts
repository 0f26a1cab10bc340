import { REVOCATIONS_KEY, SignedRevocationList, type RevocationList } from "@slipway/proto";
import type { Knex } from "knex";
import type { Logger } from "pino";
import type { Clock } from "../context.js";
import { revokedIds } from "../membership/member-store.js";
import { Soon } from "../soon.js";
import type { Stats } from "../stats.js";
import type { GoalBucket } from "./goal-bucket.js";
import { planRevocations } from "./plan-revocations.js";
import type { RevocationSigner } from "./revocation-signer.js";

const MAX_ATTEMPTS = 4;
/** More than have room in a list. */
const MAX_IDS = 500_000;

interface Options {
  db: Knex;
  bucket: GoalBucket;
  signer: RevocationSigner;
  clock: Clock;
  log: Logger;
  stats: Pick<Stats, "nonsense" | "leads">;
}

/** Keeps the list of revoked members in the global bucket. The bucket can be lost and is rebuilt. */
export class RevocationPublisher {
  readonly #options: Options;
  readonly #soon: Soon;

  constructor(options: Options) {
    this.#options = options;
    this.#soon = new Soon(
      () => this.publish(),
      (error) => options.log.warn({ err: error }, "revocations not published yet"),
    );
  }

  /** Publishes in the background. If that fails, the next time does it. */
  publishSoon(): void {
    this.#soon.ask();
  }

  /**
   * Puts into the bucket what it lacks. Safe to call at any time by any coordinator. Answers how many
   * lists were written.
   * @throws NatsError if NATS is away; SignerError if nothing can be signed now.
   */
  async publish(): Promise<number> {
    const { db, bucket, signer, clock, log, stats } = this.#options;
    const revoked = await revokedIds(db, MAX_IDS);
    // It may have been lost since we saw it.
    await bucket.prepare();
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const entry = await bucket.getValue(REVOCATIONS_KEY);
      const { list: present, keyId } = this.#open(entry?.value);
      const now = new Date(clock.now());
      // By one coordinator alone: while a key is replaced, the others may have another one.
      const signAgain = present !== undefined && keyId !== signer.keyId && stats.leads;
      const { write, unknown, leftOut } = planRevocations(revoked, present, now, signAgain);
      if (unknown.length > 0) {
        const some = { count: unknown.length, ids: unknown.slice(0, 20) };
        log.error(
          some,
          "ids are revoked that the database knows nothing of: was a backup restored?",
        );
      }
      if (leftOut > 0) {
        log.error({ leftOut }, "the list of revocations is full: the first ones are left out");
      }
      if (write === undefined) return 0;
      const value = SignedRevocationList.encode(await signer.sign(write)).finish();
      if (await bucket.putValue(REVOCATIONS_KEY, value, entry?.revision ?? 0)) {
        log.info(
          { revoked: write.hostIds.length, version: write.version },
          "revocations published",
        );
        return 1;
      }
    }
    throw new Error("the list of revocations was changed by others at every attempt");
  }

  /** What is not the fleet's is replaced. */
  #open(value: Uint8Array | undefined): { list?: RevocationList; keyId?: string } {
    if (value === undefined) return {};
    try {
      const signed = SignedRevocationList.decode(value);
      const list = this.#options.signer.open(signed);
      if (list !== undefined) return { list, keyId: signed.keyId };
      this.#options.log.error("a list of revocations that nobody here signed is replaced");
    } catch (error) {
      this.#options.log.error({ err: error }, "a list of revocations cannot be read, is replaced");
    }
    this.#options.stats.nonsense.add("revocations");
    return {};
  }
}
