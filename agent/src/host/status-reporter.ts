/** Between reports of progress, in ms. */
const PROGRESS_MS = 1_000;
/** Between reports of the whole state, in ms. */
const REPEAT_MS = 10_000;
/** The first time after an introduction, in ms; each time after that takes twice as long. */
const EARLY_MS = 500;

interface StatusReporterOptions {
  /** Publishes the present state. */
  publish: () => void;
  /** Default: 10 s. */
  repeatMs?: number | undefined;
}

/**
 * Decides when the host's state is published: at once on a change of phase, at most once a second
 * for progress, and every 10 s in any case, for messages may be lost.
 */
export class StatusReporter {
  readonly #publish: () => void;
  readonly #repeatMs: number;
  #repeat: NodeJS.Timeout | undefined;
  #progress: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #untilRepeatMs: number;
  #lastAt = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor({ publish, repeatMs = REPEAT_MS }: StatusReporterOptions) {
    this.#publish = publish;
    this.#repeatMs = repeatMs;
    this.#untilRepeatMs = repeatMs;
  }

  start(): void {
    this.#again();
    this.changed("phase");
  }

  /**
   * The host has come into reach: what it says first may come before its region's agents listen, so
   * it says it again soon, and ever later.
   */
  introduce(): void {
    if (this.#stopped) return;
    this.#untilRepeatMs = Math.min(EARLY_MS, this.#repeatMs);
    clearTimeout(this.#repeat);
    this.#again();
    this.changed("phase");
  }

  changed(change: "phase" | "progress"): void {
    if (this.#stopped) return;
    if (change === "phase") {
      // Changes of one turn are one report.
      this.#soon ??= setImmediate(() => this.#now());
    } else {
      const waitMs = Math.max(0, this.#lastAt + PROGRESS_MS - performance.now());
      this.#progress ??= setTimeout(() => this.#now(), waitMs);
    }
  }

  /** Publishes the present state at once. */
  publishNow(): void {
    if (!this.#stopped) this.#now();
  }

  /** Publishes what is still to be said, and ends. */
  stop(): void {
    if (this.#stopped) return;
    if (this.#soon !== undefined || this.#progress !== undefined) this.#now();
    this.#stopped = true;
    clearTimeout(this.#repeat);
    clearTimeout(this.#progress);
    clearImmediate(this.#soon);
  }

  #now(): void {
    clearImmediate(this.#soon);
    clearTimeout(this.#progress);
    this.#soon = undefined;
    this.#progress = undefined;
    this.#lastAt = performance.now();
    if (!this.#stopped) this.#publish();
  }

  #again(): void {
    // Hosts that started together must not report together for ever.
    const waitMs = this.#untilRepeatMs * (0.9 + Math.random() * 0.2);
    this.#untilRepeatMs = Math.min(this.#repeatMs, this.#untilRepeatMs * 2);
    this.#repeat = setTimeout(() => {
      this.#now();
      this.#again();
    }, waitMs);
  }
}
