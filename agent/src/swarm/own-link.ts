/** A rate is what came in so long a time at least. */
const SPAN_MS = 200;
/** The best that was seen is worth half after so long a time in which bytes came. */
const HALF_LIFE_MS = 10_000;
const FADE_MAX_MS = 5_000;
/** So many who sent, none of whom made it so many times as fast, tell of the link, not of one. */
const SENDERS = 3;
const FASTER = 2;
/** A link may be quiet for as long as it takes for so many bytes, as they come in records … */
const QUIET_BYTES = 256 * 1024;
/** … within these bounds. */
const QUIET_MIN_MS = 5_000;
const QUIET_MAX_MS = 60_000;
/** Few who send may be slow themselves: for longer none of them explains that another is mute. */
const UNKNOWN_TURN_MAX_MS = 30_000;
/** Nothing is excused for longer by what else has to come. */
const WAIT_MAX_MS = 10 * 60_000;

/**
 * What this host's own link was seen to carry at best, and what it still has to: how long something
 * may take without anybody but this host being slow. Takes the clock's time.
 */
export class OwnLink {
  /** Bytes asked for by number, of all neighbours together. */
  owedBytes = 0;
  #bytesPerMs = 0;
  #at: number | undefined;
  #spanAt = 0;
  #spanBytes = 0;
  readonly #senders = new Set<string>();

  /** Bytes came in. */
  arrived(from: string, bytes: number, now: number): void {
    if (this.#at === undefined) this.#spanAt = now;
    // What comes first was under way before.
    else this.#spanBytes += bytes;
    this.#at = now;
    const span = now - this.#spanAt;
    if (span >= SPAN_MS) this.#learn(span, now);
    if (this.#senders.size < SENDERS) this.#senders.add(from);
  }

  /** Bytes that it carries in so long a time; Infinity as long as that is not known. */
  carries(ms: number): number {
    return this.#isKnown ? this.#bytesPerMs * ms : Infinity;
  }

  /** How long it may take for so many bytes, in milliseconds; 0 as long as that is not known. */
  msFor(bytes: number): number {
    return Math.min(WAIT_MAX_MS, bytes / this.carries(1));
  }

  /** How long one may send nothing, while others do, before all that is owed should be here. */
  turnMs(factor: number): number {
    if (this.#isKnown) return this.msFor(this.owedBytes) * factor;
    if (this.#bytesPerMs === 0) return 0;
    return Math.min(UNKNOWN_TURN_MAX_MS, (this.owedBytes / this.#bytesPerMs) * factor);
  }

  /** Since this time nothing came, for longer than a slow link explains. */
  isQuiet(since: number, now: number): boolean {
    const usual = Math.min(QUIET_MAX_MS, Math.max(QUIET_MIN_MS, this.msFor(QUIET_BYTES)));
    return now - Math.max(since, this.#at ?? -Infinity) >= usual;
  }

  /** One who is slow looks like a slow link as long as no others send. */
  get #isKnown(): boolean {
    return this.#bytesPerMs > 0 && this.#senders.size >= SENDERS;
  }

  #learn(span: number, now: number): void {
    const rate = this.#spanBytes / span;
    const faded = this.#bytesPerMs * 0.5 ** (Math.min(FADE_MAX_MS, span) / HALF_LIFE_MS);
    if (rate > faded * FASTER) this.#senders.clear();
    this.#bytesPerMs = Math.max(faded, rate);
    this.#spanAt = now;
    this.#spanBytes = 0;
  }
}
