import type { Client } from "pg";

/** Any number that nothing else uses: held, shared, by every coordinator that could lead and sign. */
const ABLE_KEY = 7_216_840_333;

/** Whether anybody who could sign is there to lead. Reading this waits for nobody. */
const ANYBODY_ABLE = `
  select exists (
    select from pg_locks
    where locktype = 'advisory' and mode = 'ShareLock' and objsubid = 1 and granted
      and database = (select oid from pg_database where datname = current_database())
      and classid = ($1::bigint >> 32)::oid and objid = ($1::bigint & 4294967295)::oid
  ) as able`;

/**
 * Who of several should lead: those that can sign goals, and only while there is none of them the
 * others, for somebody has to say what deployments wait for. One that can says so by a lock on the
 * connection with which it leads or waits to lead, so that Postgres takes that back with its end.
 */
export class Candidacy {
  readonly #client: Client;
  readonly #fault: () => string | undefined;
  #said = false;

  /** @param fault why this coordinator can sign nothing; undefined while it can. */
  constructor(client: Client, fault: () => string | undefined) {
    this.#client = client;
    this.#fault = fault;
  }

  /**
   * Says whether this one can sign, if that has changed. Answers why it is not to lead; undefined if
   * it may.
   */
  async standAside(): Promise<string | undefined> {
    const fault = this.#fault();
    await this.#say(fault === undefined);
    if (fault === undefined) return undefined;
    const { rows } = await this.#client.query<{ able: boolean }>(ANYBODY_ABLE, [ABLE_KEY]);
    return rows[0]?.able === true ? fault : undefined;
  }

  async #say(isAble: boolean): Promise<void> {
    if (isAble === this.#said) return;
    const change = isAble ? "pg_try_advisory_lock_shared" : "pg_advisory_unlock_shared";
    await this.#client.query(`select ${change}($1)`, [ABLE_KEY]);
    this.#said = isAble;
  }
}
