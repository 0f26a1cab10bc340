import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import type { Logger } from "pino";
import type { Service } from "../context.js";
import { connectionConfig } from "../db/connection.js";
import { backoffMs } from "../retry.js";
import { Candidacy } from "./candidacy.js";

/** Any number that nothing else uses: whoever holds this lock reconciles deployments. */
const LOCK_KEY = 7_216_840_332;
const TRY_INTERVAL_MS = 1_000;
const PING_INTERVAL_MS = 2_000;
/** Far more than a leader that works leaves between two statements. */
const SILENT_MS = 10_000;

interface Options {
  url: string;
  log: Logger;
  /** What the leader does, until the signal says that it no longer leads. */
  lead: (signal: AbortSignal) => Promise<void>;
  /** Why this coordinator can sign no goals at this moment. Default: it always can. */
  signFault?: () => string | undefined;
  /** After so long without a statement Postgres takes the lock from who leads. Default: 10 s. */
  silentMs?: number;
}

/**
 * Leads while it holds an advisory lock on a connection of its own. Postgres gives the lock up with
 * the connection, and then another coordinator takes over; it ends the connection by itself when the
 * leader hangs, or when its machine is gone without a word. For a moment two may believe that they
 * lead: what they do must bear that, and does (compare-and-set everywhere). Who can sign nothing leads
 * only while nobody is there who can: see Candidacy.
 */
export class Leadership implements Service {
  readonly #options: Options;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  start(): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#term(signal, () => (failures = 0));
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.#options.log.warn({ err: error, failures }, "leadership lost or not to be had");
        const wait = backoffMs(failures, { firstMs: 200, maxMs: 5_000 });
        await delay(wait, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /**
   * One connection's life: waits for the lock, then leads until the connection breaks, or somebody is
   * to lead instead.
   */
  async #term(signal: AbortSignal, connected: () => void): Promise<void> {
    const { url, log, lead, signFault = () => undefined } = this.#options;
    const client = new Client(
      connectionConfig({ url, statementTimeoutMs: 5_000, applicationName: "slipway leader" }),
    );
    const term = new AbortController();
    const end = (error: Error): void => term.abort(error);
    const stopped = (): void => end(new Error("stopped"));
    client.on("error", end);
    client.on("end", () => end(new Error("the leader's connection ended")));
    signal.addEventListener("abort", stopped, { once: true });
    try {
      await orAborted(client.connect(), term.signal);
      await orAborted(limitSilence(client, this.#options.silentMs ?? SILENT_MS), term.signal);
      connected();
      const candidacy = new Candidacy(client, signFault);
      for (let aside: string | undefined; ;) {
        const reason = await orAborted(candidacy.standAside(), term.signal);
        if (reason === undefined && (await tryLock(client, term.signal))) break;
        if (reason !== undefined && reason !== aside) {
          log.warn({ reason }, "leading is left to a coordinator that can sign goals");
        }
        aside = reason;
        await delay(TRY_INTERVAL_MS * (0.75 + Math.random() / 2), undefined, {
          signal: term.signal,
        });
      }
      log.info("leading deployments");
      const work = lead(term.signal).catch((error: unknown) => {
        if (!term.signal.aborted) end(error instanceof Error ? error : new Error(String(error)));
      });
      try {
        await whileInPlace(client, candidacy, term.signal);
      } finally {
        end(new Error("the term ended"));
        await work;
        log.info("no longer leading deployments");
      }
    } finally {
      signal.removeEventListener("abort", stopped);
      // Ends the session and with it the lock; a connection that is broken may say so again.
      await client.end().catch(() => undefined);
    }
  }
}

/** Postgres before 14 knows of no such limit, and leads without one. */
async function limitSilence(client: Client, ms: number): Promise<void> {
  await client.query(
    "select set_config(name, $1, false) from pg_settings where name = 'idle_session_timeout'",
    [`${ms}ms`],
  );
}

async function tryLock(client: Client, signal: AbortSignal): Promise<boolean> {
  const query = client.query<{ locked: boolean }>("select pg_try_advisory_lock($1) as locked", [
    LOCK_KEY,
  ]);
  const { rows } = await orAborted(query, signal);
  return rows[0]?.locked === true;
}

/**
 * Ends when somebody else is to lead. @throws when the connection no longer answers, or by the signal.
 */
async function whileInPlace(
  client: Client,
  candidacy: Candidacy,
  signal: AbortSignal,
): Promise<void> {
  do {
    await delay(PING_INTERVAL_MS, undefined, { signal });
    await orAborted(client.query("select 1"), signal);
  } while ((await orAborted(candidacy.standAside(), signal)) === undefined);
}

/** The promise's outcome, or the signal's reason if that comes first. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Whatever it comes to after the signal has no reader any more.
  promise.catch(() => undefined);
  let abort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (abort !== undefined) signal.removeEventListener("abort", abort);
  }
}
