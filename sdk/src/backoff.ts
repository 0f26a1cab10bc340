/** Pauses between tries. */
export interface BackoffOptions {
  /** Milliseconds before the second try, at most. */
  initialDelayMs: number;
  /** Milliseconds that no pause exceeds. */
  maxDelayMs: number;
}

/**
 * Milliseconds to wait after so many failures in a row (1 after the first). The pause doubles with
 * each failure up to the maximum, and is drawn from its upper half, so that clients that failed
 * together do not come back together.
 * @param random from 0 up to, and without, 1.
 */
export function backoffMs(failures: number, options: BackoffOptions, random: number): number {
  const exponent = Math.min(Math.max(failures, 1) - 1, 30);
  const ceiling = Math.min(options.initialDelayMs * 2 ** exponent, options.maxDelayMs);
  return Math.round(ceiling * (0.5 + random / 2));
}
