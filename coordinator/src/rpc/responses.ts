import { once } from "node:events";
import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";

/** A call that answers with a stream. */
export type StreamingCall<Request, Response> =
  ServerWritableStream<Request, Response> | ServerDuplexStream<Request, Response>;

/** What a call's stream was given and has not passed on yet. */
export class Responses<Response> {
  readonly #call: StreamingCall<unknown, Response>;
  #unwritten = 0;
  #written: () => void = () => undefined;

  constructor(call: StreamingCall<unknown, Response>) {
    this.#call = call;
  }

  /** Waits while the caller does not read. @throws the signal's reason. */
  async write(response: Response, signal: AbortSignal): Promise<void> {
    this.#unwritten += 1;
    const done = (): void => {
      this.#unwritten -= 1;
      if (this.#unwritten === 0) this.#written();
    };
    // Both writable kinds take a callback; the types of the generated calls do not say so.
    const write = this.#call.write.bind(this.#call) as (
      chunk: Response,
      callback: () => void,
    ) => boolean;
    if (!write(response, done)) await once(this.#call, "drain", { signal });
  }

  /**
   * Waits until all of it is passed on, at most so many milliseconds. An error that overtakes a
   * response destroys a stream in both directions before its status is sent: the caller would wait
   * for ever.
   */
  async flushed(timeoutMs: number): Promise<void> {
    if (this.#unwritten === 0 || this.#call.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#written = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#call.once("close", this.#written);
    });
  }
}
