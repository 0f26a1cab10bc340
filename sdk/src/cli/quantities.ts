const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];

/** "512 B", "1.5 MiB", "10 GiB": two or three figures. */
export function bytesText(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 999.5 && unit < SIZES.length - 1) {
    value /= 1024;
    unit++;
  }
  const figures = unit === 0 || value >= 9.95 ? value.toFixed(0) : value.toFixed(1);
  return `${figures} ${SIZES[unit]}`;
}

/** "3 s", "2 min 5 s", "1 h 10 min", "3 d 4 h": the two largest parts. */
export function spanText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return parts(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return parts(hours, "h", minutes % 60, "min");
  return parts(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** How long ago, as "2 min 5 s ago"; "-" if never. */
export function agoText(time: Date | undefined, now: number): string {
  if (time === undefined) return "-";
  return `${spanText(now - time.getTime())} ago`;
}

function parts(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}
