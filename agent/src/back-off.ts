/**
 * The wait before try number `attempt` (0 is the first retry): exponential from `baseMs`, at most
 * `maxMs`, and between half and all of it by chance, so that many who failed together part ways.
 */
export function backOffMs(
  attempt: number,
  { baseMs, maxMs, random = Math.random }: { baseMs: number; maxMs: number; random?: () => number },
): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return full * (0.5 + random() / 2);
}
