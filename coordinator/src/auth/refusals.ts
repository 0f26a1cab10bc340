import type { Knex } from "knex";
import type { Logger } from "pino";
import { writeAudit } from "../audit/audit-log.js";
import type { Identity } from "./identity.js";

const WINDOW_MS = 60_000;
/** Entries a minute, of all tokens together. */
const MAX_ENTRIES = 1_000;

/**
 * Writes into the audit that a token was used for what it does not allow, or after its end: once for
 * a token, method and minute, and not more than the database can bear. Nobody waits for it.
 */
export class Refusals {
  readonly #options: { db: Knex; log: Logger };
  readonly #told = new Set<string>();
  readonly #writing = new Set<Promise<void>>();
  #windowEnds = 0;

  constructor(options: { db: Knex; log: Logger }) {
    this.#options = options;
  }

  tell(identity: Identity, method: string, why: string, now: number): void {
    if (now >= this.#windowEnds) {
      this.#told.clear();
      this.#windowEnds = now + WINDOW_MS;
    }
    const key = `${identity.tokenId} ${method}`;
    if (this.#told.has(key) || this.#told.size >= MAX_ENTRIES) return;
    this.#told.add(key);
    const { tokenId, name } = identity;
    this.#options.log.warn({ tokenId, name, method }, `call refused: ${why}`);
    const written: Promise<void> = this.#write(identity, `${method}: ${why}`)
      .catch((error: unknown) => {
        this.#options.log.warn({ err: error, tokenId }, "a refused call could not be audited");
      })
      .finally(() => this.#writing.delete(written));
    this.#writing.add(written);
  }

  /** Waits for what is being written. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing);
  }

  async #write({ name, tokenId }: Identity, message: string): Promise<void> {
    await this.#options.db.transaction((trx) =>
      writeAudit(trx, { actor: name, tokenId, action: "token.refused", message }),
    );
  }
}
