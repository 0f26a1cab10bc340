/**
 * The time by which what lasts is measured, in milliseconds since 1970 by the machine's clock as it was
 * when the process began: unlike Date.now() it goes on evenly while somebody sets that clock. What is
 * compared with times from elsewhere, or kept over restarts, is not for it.
 */
export function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}
