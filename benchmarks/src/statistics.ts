/** The value below which this share of the values lies (nearest rank). Needs at least one value. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  const value = sorted[rank - 1];
  if (value === undefined) throw new Error("no values to take a quantile of");
  return value;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Rounded to so many decimals, for people. */
export function round(value: number, decimals = 2): number {
  const scale = 10 ** decimals;
  return Math.round(value * scale) / scale;
}

/** What one run measured, by name. */
export type Sample = Record<string, number>;

/** The median of each figure, rounded. */
export function mediansOf(samples: readonly Sample[]): Sample {
  const names = Object.keys(samples[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, round(median(samples.map((sample) => sample[name] ?? Number.NaN)))]),
  );
}
