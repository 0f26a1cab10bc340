import { EndWarning } from "./end-warning.js";

const LOOK_MS = 60_000;

/** Something without which nobody is let in, and which has an end. */
export interface Ending {
  /** Of a few fixed values: the label of the metric. */
  what: string;
  /** Undefined while it is not known, or if it has none. */
  expireTime: () => Date | undefined;
  /** Looks whether there is another one meanwhile; before each warning. It has a deadline of its own. */
  refresh?: (() => Promise<void>) | undefined;
  /** What ends, and what to do, for the log. */
  warning: string;
}

interface Log {
  warn(fields: object, text: string): void;
}

/** Warns of ends, once a day for 30 days before, and until something is done. */
export class Endings {
  readonly #endings: readonly (Ending & { due: EndWarning })[];
  readonly #log: Log;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(endings: readonly Ending[], log: Log, now: () => number = Date.now) {
    this.#endings = endings.map((ending) => ({ ...ending, due: new EndWarning() }));
    this.#log = log;
    this.#now = now;
  }

  /** Seconds since 1970, by what it is of; those that are not known are left out. */
  get timestamps(): Record<string, number> {
    const known = this.#endings.flatMap(({ what, expireTime }) => {
      const end = expireTime();
      return end === undefined ? [] : [[what, end.getTime() / 1_000] as const];
    });
    return Object.fromEntries(known);
  }

  start(): void {
    void this.look();
    this.#timer ??= setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** Warns of what is to be warned of now; never throws. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    for (const { what, expireTime, refresh, warning, due } of this.#endings) {
      if (!due.isDue(expireTime(), this.#now())) continue;
      // If that fails, what was known is the best there is.
      await refresh?.().catch(() => undefined);
      const end = expireTime();
      if (!due.isDue(end, this.#now())) continue;
      due.warned(this.#now());
      this.#log.warn({ what, expireTime: end }, warning);
    }
  }
}

/** When a JWT ends, by its own word; undefined if it does not, or is none. */
export function endOfJwt(jwt: string): Date | undefined {
  try {
    const payload = Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString();
    const { exp } = JSON.parse(payload) as { exp?: unknown };
    return typeof exp === "number" ? new Date(exp * 1_000) : undefined;
  } catch {
    return undefined;
  }
}
