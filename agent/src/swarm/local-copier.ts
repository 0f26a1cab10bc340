import type { LocalCopies } from "../store/types.js";

/** So many chunks are copied at once: the store's thread has the next at hand, and chunks of others. */
const COPIES_AT_ONCE = 2;

export interface LocalCopierEvents {
  /** Written from a copy on this disk. */
  found: (chunk: number) => void;
  /** The copy was none. */
  missing: (chunk: number) => void;
  /** Writing failed; nothing is copied any more. */
  failed: (error: unknown) => void;
}

interface Copy {
  chunk: number;
  /** The chunk of the same artifact to copy; otherwise one of another artifact's. */
  twin?: number;
}

/** Copies what is on this disk already of an artifact that is being fetched, a few chunks at a time. */
export class LocalCopier {
  readonly #copies: LocalCopies;
  readonly #events: LocalCopierEvents;
  readonly #queue: Copy[];
  #next = 0;
  #running = 0;
  #stopped = false;

  constructor(copies: LocalCopies, events: LocalCopierEvents) {
    this.#copies = copies;
    this.#events = events;
    this.#queue = copies.chunks.map((chunk) => ({ chunk }));
  }

  /** The chunks that need not be fetched, as long as they are not said to be missing. */
  get chunks(): Set<number> {
    return new Set([...this.#copies.chunks, ...[...this.#copies.twins.values()].flat()]);
  }

  start(): void {
    while (!this.#stopped && this.#running < COPIES_AT_ONCE) {
      const copy = this.#queue[this.#next];
      if (copy === undefined) return;
      this.#next++;
      void this.#run(copy);
    }
  }

  /** A chunk was fetched and written: those with the same bytes can be copied from it. */
  arrived(chunk: number): void {
    for (const twin of this.#copies.twins.get(chunk) ?? []) {
      this.#queue.push({ chunk: twin, twin: chunk });
    }
    this.start();
  }

  /** Lets go of the files. May be called twice. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#copies.close();
  }

  /** Never rejects. */
  async #run({ chunk, twin }: Copy): Promise<void> {
    this.#running++;
    try {
      const copied = await (twin === undefined
        ? this.#copies.copy(chunk)
        : this.#copies.copyTwin(twin, chunk));
      if (this.#stopped) return;
      if (copied) this.#events.found(chunk);
      else this.#events.missing(chunk);
    } catch (error) {
      if (this.#stopped) return;
      this.#stopped = true;
      this.#events.failed(error);
    } finally {
      this.#running--;
      this.start();
    }
  }
}
