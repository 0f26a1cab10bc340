const MEBIBYTE = 1024 * 1024;

/** "7 ms", "2.94 s", "12.3 s". */
export function duration(ms: number): string {
  if (ms < 100) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)} s`;
}

/** "0", "812 KiB", "38.1 MiB". */
export function bytes(count: number): string {
  if (count === 0) return "0";
  if (count < MEBIBYTE) return `${Math.max(1, Math.round(count / 1024))} KiB`;
  return `${(count / MEBIBYTE).toFixed(count < 1000 * MEBIBYTE ? 1 : 0)} MiB`;
}

/** A bar of `width` characters, full at 1. */
export function bar(fraction: number, width = 16): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** The first seven digits. */
export const shortSha = (sha: string): string => sha.slice(0, 7);

/** Lines with the first column to the left and the others to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => (row[i] ?? "").length)),
  );
  return rows.map((row) =>
    widths
      .map((width, i) => (i === 0 ? (row[i] ?? "").padEnd(width) : (row[i] ?? "").padStart(width)))
      .join("   ")
      .trimEnd(),
  );
}
