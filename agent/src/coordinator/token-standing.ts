import type { Logger } from "../log.js";

const DAY_MS = 24 * 3_600_000;
/** The end of the token is warned of, once a day, for so long before. */
const WARN_MS = 7 * DAY_MS;
/** The machine may sleep meanwhile. */
const LOOK_MS = 60_000;

/** That coordinators do not let the agent in with its token. */
export interface Refusal {
  /** When they first did not, since they last did. */
  since: Date;
  /** What they say of it. */
  message: string;
}

export interface TokenStandingOptions {
  /** For messages. */
  file: string;
  /** The token that calls are made with now. */
  present: () => string;
  log: Logger;
  /** Milliseconds since 1970. */
  now?: () => number;
}

/** What coordinators say of the token that an agent calls with: until when, and whether it lets in. */
export class TokenStanding {
  readonly #options: TokenStandingOptions;
  readonly #now: () => number;
  #end: { token: string; expireTime: Date } | undefined;
  #refused: { token: string; refusal: Refusal } | undefined;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TokenStandingOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** When the present token ends; undefined if it does not, or nobody has said yet. */
  get expireTime(): Date | undefined {
    return this.#end?.token === this.#options.present() ? this.#end.expireTime : undefined;
  }

  /** Undefined while coordinators let the agent in, as far as it has asked. */
  get refusal(): Refusal | undefined {
    return this.#refused?.refusal;
  }

  /** A call with this token was let in. */
  accepted(token: string, expireTime?: Date): void {
    if (this.#refused !== undefined) {
      this.#refused = undefined;
      this.#options.log.info({ file: this.#options.file }, "coordinators let this agent in again");
    }
    if (expireTime === undefined) return;
    if (this.#end?.token !== token) this.#warnedAt = Number.NEGATIVE_INFINITY;
    this.#end = { token, expireTime };
    this.look();
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** A call with this token was not let in for the token's sake. */
  refused(token: string, message: string): void {
    if (this.#refused?.token === token) return;
    const since = this.#refused?.refusal.since ?? new Date(this.#now());
    this.#refused = { token, refusal: { since, message } };
    const { log, file } = this.#options;
    log.error({ file, reason: message }, "coordinators do not let this agent in with its token");
  }

  /** Warns if the token ends soon; also by itself, as a stream may outlast all warnings. */
  look(): void {
    const { expireTime } = this;
    const now = this.#now();
    if (expireTime === undefined || expireTime.getTime() - now > WARN_MS) return;
    if (now - this.#warnedAt < DAY_MS) return;
    this.#warnedAt = now;
    const { log, file } = this.#options;
    log.warn(
      { file, expireTime },
      "the token ends soon: write the next one to its file before that",
    );
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
