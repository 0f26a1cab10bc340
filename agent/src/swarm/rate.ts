/** How fast a peer delivers, from the time between one chunk and the next. Takes the clock's time. */
export class DeliveryRate {
  /** Bytes a second; undefined before the first delivery. */
  value: number | undefined;
  #lastAt = 0;

  delivered(bytes: number, askedAt: number, now: number): void {
    const took = Math.max(0.5, now - Math.max(askedAt, this.#lastAt));
    const sample = (bytes / took) * 1000;
    this.value = this.value === undefined ? sample : this.value * 0.75 + sample * 0.25;
    this.#lastAt = now;
  }
}

/** Bytes a second, fading over some milliseconds. */
export class RateMeter {
  readonly #fadeMs: number;
  #bytes = 0;
  #at = 0;

  constructor(fadeMs = 3_000) {
    this.#fadeMs = fadeMs;
  }

  add(bytes: number, now: number): void {
    this.#bytes = this.#faded(now) + bytes;
    this.#at = now;
  }

  read(now: number): number {
    return (this.#faded(now) / this.#fadeMs) * 1000;
  }

  #faded(now: number): number {
    return this.#bytes * Math.exp(-(now - this.#at) / this.#fadeMs);
  }
}
