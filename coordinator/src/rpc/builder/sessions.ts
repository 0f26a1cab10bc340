import { aborted } from "../../errors.js";

/** The builders that have a stream here: one stream each, the newest. */
export class BuilderSessions {
  readonly #ends = new Map<string, (error: Error) => void>();

  get size(): number {
    return this.#ends.size;
  }

  /** Of those builders. */
  get ids(): string[] {
    return [...this.#ends.keys()];
  }

  /** Ends the builder's stream, if it has one. */
  end(builderId: string, error: Error): void {
    this.#ends.get(builderId)?.(error);
  }

  /** Registers a stream in the place of the builder's older one. Answers how to take it out. */
  open(builderId: string, end: (error: Error) => void): () => void {
    this.#ends.get(builderId)?.(
      aborted("STREAM_REPLACED", `builder ${builderId} opened another stream`),
    );
    this.#ends.set(builderId, end);
    return () => {
      if (this.#ends.get(builderId) === end) this.#ends.delete(builderId);
    };
  }
}
