/** A set of small numbers that can be walked from anywhere, changed in constant time. */
export class IndexSet {
  readonly #items: Uint32Array;
  readonly #places: Int32Array;
  #size = 0;

  /** Holds numbers below `capacity`. */
  constructor(capacity: number) {
    this.#items = new Uint32Array(capacity);
    this.#places = new Int32Array(capacity).fill(-1);
  }

  get size(): number {
    return this.#size;
  }

  /** The item at a place below size; places change when items are removed. */
  at(place: number): number {
    return this.#items[place] ?? 0;
  }

  has(item: number): boolean {
    return (this.#places[item] ?? -1) >= 0;
  }

  add(item: number): void {
    if (this.has(item)) return;
    this.#items[this.#size] = item;
    this.#places[item] = this.#size++;
  }

  delete(item: number): void {
    const place = this.#places[item] ?? -1;
    if (place < 0) return;
    const last = this.at(--this.#size);
    this.#items[place] = last;
    this.#places[last] = place;
    this.#places[item] = -1;
  }
}
