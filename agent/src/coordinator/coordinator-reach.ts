import { status, type ServiceError } from "@grpc/grpc-js";
import { getErrorDetails } from "@slipway/proto";
import type { Logger } from "../log.js";

/** Between two times that the same is logged, in ms. */
const REPEAT_MS = 20_000;
/** A coordinator that restarts, or hands over to another, is not away yet. In ms. */
const AWAY_AFTER_MS = 5_000;
const NOBODY: readonly number[] = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED];

interface Said {
  at: number;
  /** Failures that were not said since. */
  suppressed: number;
}

/**
 * What becomes of an agent's calls to coordinators, whichever part of it makes them: since when nobody
 * answers, and a log in which each cause is told once, and every 20 s while it lasts.
 */
export class CoordinatorReach {
  readonly #log: Logger;
  readonly #now: () => number;
  /** By cause. */
  readonly #said = new Map<string, Said>();
  #unansweredSince: number | undefined;

  /** @param now - Milliseconds since 1970. */
  constructor(log: Logger, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
  }

  /** Since when no coordinator can be reached; undefined while one can, or may yet. */
  get awaySince(): Date | undefined {
    const since = this.#unansweredSince;
    if (since === undefined || this.#now() - since < AWAY_AFTER_MS) return undefined;
    return new Date(since);
  }

  /** A coordinator has answered a call. */
  answered(): void {
    const since = this.#unansweredSince;
    if (since === undefined) return;
    this.#unansweredSince = undefined;
    const suppressed = this.#said.get(AWAY)?.suppressed ?? 0;
    this.#said.delete(AWAY);
    this.#log.info({ durationMs: this.#now() - since, suppressed }, "a coordinator answers again");
  }

  /** A call has failed: logs it, with what this keeps the agent from. */
  failed(error: unknown, message: string, about: object = {}): void {
    const { cause, reason } = explain(error);
    const now = this.#now();
    if (cause === AWAY) this.#unansweredSince ??= now;
    else if (cause !== undefined) this.answered();
    if (cause === undefined) {
      this.#log.warn({ err: error, ...about }, message);
      return;
    }
    const said = this.#said.get(cause);
    if (said !== undefined && now - said.at < REPEAT_MS) {
      said.suppressed += 1;
      this.#log.debug({ err: error, ...about }, message);
      return;
    }
    this.#said.set(cause, { at: now, suppressed: 0 });
    this.#log.warn({ reason, ...about, suppressed: said?.suppressed ?? 0 }, message);
  }
}

const AWAY = "away";

/** What to tell failures apart by, and what to say of them; nothing if that is not known to say it all. */
function explain(error: unknown): { cause?: string; reason?: string } {
  if (!(error instanceof Error) || !("metadata" in error)) return {};
  const { code, details, metadata } = error as ServiceError;
  const refusal = getErrorDetails(metadata)?.reason ?? "";
  if (refusal !== "") return { cause: `refused: ${refusal}`, reason: details };
  return NOBODY.includes(code) ? { cause: AWAY, reason: details } : {};
}
