/** Of the names those that somebody may have meant by one that is none of them, the likeliest first. Pure. */
export function similarNames(name: string, names: Iterable<string>, most: number): string[] {
  const near: { other: string; away: number }[] = [];
  for (const other of names) {
    const away = distance(name, other);
    const shorter = Math.min(name.length, other.length);
    const within = other.startsWith(name) || name.startsWith(other);
    if (within || away <= Math.max(1, Math.floor(shorter / 3))) near.push({ other, away });
  }
  return near
    .sort((a, b) => a.away - b.away || (a.other < b.other ? -1 : 1))
    .slice(0, most)
    .map(({ other }) => other);
}

/** Letters to insert, leave out, replace, or swap with their neighbour, to make one of the other. */
function distance(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row += 1) {
    const present = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const same = one[row - 1] === other[column - 1];
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      present.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (present[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + (same ? 0 : 1),
          swapped && row > 1 && column > 1 ? (before[column - 2] ?? 0) + 1 : Infinity,
        ),
      );
    }
    before = last;
    last = present;
  }
  return last[other.length] ?? 0;
}
