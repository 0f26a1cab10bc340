/** What is known of the speed is worth half after so long. */
const HALF_LIFE_MS = 60_000;
/**
 * The link is taken for so much faster than it was seen to be: receivers may have been slower, and
 * what they leave idle goes to others.
 */
const OPTIMISM = 1.3;
/** What arrived in all is measured over so many chunks and so long at least. */
const SPAN_CHUNKS = 16;
const SPAN_MS = 100;

/**
 * How fast this host's link is, and so when it should be done with what was handed to it. If
 * receivers are slower than the link it is done, though they are not.
 */
export class LinkSpeed {
  #bytesPerMs: number | undefined;
  #measuredAt = 0;
  /** Bytes handed to the link and not yet sent, as far as its speed tells, at a time. */
  #backlog = 0;
  #at = 0;
  #spanAt: number | undefined;
  #spanBytes = 0;
  #spanChunks = 0;

  /** Undefined before the first chunk went out. */
  get bytesPerSecond(): number | undefined {
    return this.#bytesPerMs === undefined ? undefined : this.#bytesPerMs * 1_000;
  }

  /** A chunk arrived. Small links show in single chunks, large ones in all that arrive. */
  measured(bytes: number, ms: number, now: number): void {
    this.#learn(bytes / Math.max(0.1, ms), now);
    this.#spanAt ??= now - ms;
    this.#spanBytes += bytes;
    if (++this.#spanChunks < SPAN_CHUNKS || now - this.#spanAt < SPAN_MS) return;
    this.#learn(this.#spanBytes / (now - this.#spanAt), now);
    this.#spanAt = now;
    this.#spanBytes = 0;
    this.#spanChunks = 0;
  }

  /** Bytes are handed to the link; negative takes back. */
  add(bytes: number, now: number): void {
    this.#drain(now);
    this.#backlog = Math.max(0, this.#backlog + bytes);
  }

  /** Everything arrived. */
  idle(): void {
    this.#backlog = 0;
    this.#spanAt = undefined;
    this.#spanBytes = 0;
    this.#spanChunks = 0;
  }

  /** When what was handed to the link should have left it. */
  doneAt(now: number): number {
    this.#drain(now);
    if (this.#backlog === 0) return now;
    const speed = this.#bytesPerMs;
    return speed === undefined ? Infinity : now + this.#backlog / (speed * OPTIMISM);
  }

  #learn(bytesPerMs: number, now: number): void {
    const faded = (this.#bytesPerMs ?? 0) * 0.5 ** ((now - this.#measuredAt) / HALF_LIFE_MS);
    this.#bytesPerMs = Math.max(bytesPerMs, faded);
    this.#measuredAt = now;
  }

  #drain(now: number): void {
    const sent = (now - this.#at) * (this.#bytesPerMs ?? 0) * OPTIMISM;
    this.#backlog = Math.max(0, this.#backlog - sent);
    this.#at = now;
  }
}
