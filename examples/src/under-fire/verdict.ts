/** Something that always holds, and what it was judged by. */
export interface Verdict {
  invariant: string;
  /** How many things were looked at. */
  checked: number;
  /** What does not hold, in words; empty when all is well. */
  violations: string[];
}

/** How many things were looked at, and what does not hold of them. */
export type Findings = [checked: number, violations: string[]];

export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
