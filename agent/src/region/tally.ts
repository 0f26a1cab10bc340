/** How many there are of each of a few things; what there is none of is not listed. */
export class Tally<Key> implements Iterable<[Key, number]> {
  readonly #counts = new Map<Key, number>();

  add(key: Key, by: number): void {
    const count = (this.#counts.get(key) ?? 0) + by;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }

  [Symbol.iterator](): Iterator<[Key, number]> {
    return this.#counts[Symbol.iterator]();
  }
}

/** The names of the `max` least values, the least first; of equal ones, by name. One pass. */
export function leastOf(values: ReadonlyMap<string, number>, max: number): string[] {
  const least: { name: string; value: number }[] = [];
  for (const [name, value] of values) {
    const last = least[max - 1];
    if (last !== undefined && !comesBefore(name, value, last)) continue;
    const at = least.findIndex((other) => comesBefore(name, value, other));
    least.splice(at < 0 ? least.length : at, 0, { name, value });
    if (least.length > max) least.pop();
  }
  return least.map(({ name }) => name);
}

function comesBefore(name: string, value: number, other: { name: string; value: number }): boolean {
  return value < other.value || (value === other.value && name < other.name);
}
