/** The machine lacks what a benchmark needs; nothing was measured. */
export class SkippedError extends Error {
  override readonly name = "SkippedError";
}
