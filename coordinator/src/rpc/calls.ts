import { unavailable } from "../errors.js";

/** One call in progress. */
export interface ActiveCall {
  signal: AbortSignal;
  abort(reason: Error): void;
  /** To be called once, when the call has ended. */
  end(): void;
}

/** The calls in progress, so that a stop can end the long ones and wait for the short ones. */
export class ActiveCalls {
  readonly #streams = new Set<AbortController>();
  readonly #unary = new Set<AbortController>();
  #stopping = false;

  /** Registers a call. While stopping, a stream's signal is aborted from the start. */
  begin(kind: "unary" | "stream"): ActiveCall {
    const controller = new AbortController();
    const calls = kind === "unary" ? this.#unary : this.#streams;
    calls.add(controller);
    if (this.#stopping && kind === "stream") controller.abort(shutdownError());
    return {
      signal: controller.signal,
      abort: (reason) => controller.abort(reason),
      end: () => calls.delete(controller),
    };
  }

  /** Ends every stream with UNAVAILABLE, now and from now on. */
  endStreams(): void {
    this.#stopping = true;
    for (const controller of this.#streams) controller.abort(shutdownError());
  }

  /** Ends the unary calls that have not ended by themselves. */
  endAll(): void {
    this.endStreams();
    for (const controller of this.#unary) controller.abort(shutdownError());
  }

  /** Calls in progress. */
  get size(): number {
    return this.#streams.size + this.#unary.size;
  }
}

function shutdownError(): Error {
  return unavailable("SHUTTING_DOWN", "this coordinator is stopping; connect again");
}
