import type { ClientReadableStream } from "@grpc/grpc-js";

/** What comes next on a stream: a message, its end, or nothing in the time allowed. */
export type Next<Response> =
  { kind: "message"; message: Response } | { kind: "end" } | { kind: "quiet" };

/** A server's stream, read one message at a time: nothing is asked for before it is wanted. */
export interface OpenStream<Response> {
  readonly address: string;
  /** Aborts when the caller or the client ends it; never because of the coordinator. */
  readonly signal: AbortSignal;
  /**
   * The next message. After "end", "quiet" or an error there is nothing more.
   * @param limitMs how long it may take; undefined is for ever.
   * @throws what grpc-js throws, or the signal's reason.
   */
  next(limitMs: number | undefined): Promise<Next<Response>>;
  /** Cancels the call, unless it has ended. */
  cancel(): void;
}

/** Wraps a stream of grpc-js. `onClosed` is called once, when it is cancelled. */
export function openStream<Response>(
  stream: ClientReadableStream<Response>,
  address: string,
  signal: AbortSignal,
  onClosed: () => void,
): OpenStream<Response> {
  const messages = stream[Symbol.asyncIterator]() as AsyncIterator<Response>;
  let cancelled = false;
  const cancel = (): void => {
    if (cancelled) return;
    cancelled = true;
    signal.removeEventListener("abort", cancel);
    stream.cancel();
    onClosed();
  };
  // What comes after a cancel, or before the first next, is not to be thrown at the process.
  stream.on("error", () => undefined);
  if (signal.aborted) cancel();
  else signal.addEventListener("abort", cancel, { once: true });

  return {
    address,
    signal,
    cancel,
    next: async (limitMs) => {
      signal.throwIfAborted();
      let quiet = false;
      const onQuiet = (): void => {
        quiet = true;
        cancel();
      };
      const timer = limitMs === undefined ? undefined : setTimeout(onQuiet, limitMs);
      try {
        const result = await messages.next();
        signal.throwIfAborted();
        return result.done === true ? { kind: "end" } : { kind: "message", message: result.value };
      } catch (thrown) {
        signal.throwIfAborted();
        if (quiet) return { kind: "quiet" };
        throw thrown;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
