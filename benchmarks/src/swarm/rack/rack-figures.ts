import { median, quantile, round } from "../../statistics.js";
import type { RaceResult } from "./race.js";

/** The median over runs of each figure. Ratios are to size / rate, with no overhead allowed for. */
export function rackFigures(
  results: readonly RaceResult[],
  sizeBytes: number,
  bitsPerSecond: number,
): Record<string, number> {
  const ideal = (sizeBytes * 8) / bitsPerSecond;
  const over = (pick: (result: RaceResult) => number): number => round(median(results.map(pick)));
  return {
    makespan_ratio: over(({ seconds }) => Math.max(...seconds) / ideal),
    p50_ratio: over(({ seconds }) => quantile(seconds, 0.5) / ideal),
    p99_ratio: over(({ seconds }) => quantile(seconds, 0.99) / ideal),
    cpu_s_per_gb_host: over(({ cpuSeconds }) => mean(cpuSeconds) / (sizeBytes / 1e9)),
    seeder_copies: over(({ seederBytes }) => seederBytes / sizeBytes),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
