import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import { Wake } from "../wake.js";

/** A call that answers with a stream. */
export type StreamingCall<Request, Response> =
  ServerWritableStream<Request, Response> | ServerDuplexStream<Request, Response>;

/**
 * Responses that may wait for a caller that does not read. Node's own limit would be 16 of any size,
 * for each of thousands of callers.
 */
const MAX_UNWRITTEN = 4;
const RECHECK_MS = 60_000;

type Write<Response> = (response: Response, done: () => void) => boolean;

/** What a call's stream was given and has not passed on yet. */
export class Responses<Response> {
  readonly #call: StreamingCall<unknown, Response>;
  readonly #write: Write<Response>;
  #unwritten = 0;
  readonly #progress = new Wake();
  #written: () => void = () => undefined;

  constructor(call: StreamingCall<unknown, Response>) {
    this.#call = call;
    // Both writable kinds take a callback; the types of the generated calls do not say so.
    this.#write = call.write.bind(call) as Write<Response>;
  }

  /** Called when there is room again, for who sends and does not wait. */
  onRoom: () => void = () => undefined;

  /** Whether the caller reads. What is sent although there is no room only piles up. */
  get hasRoom(): boolean {
    return this.#unwritten < MAX_UNWRITTEN;
  }

  send(response: Response): void {
    this.#unwritten += 1;
    this.#write(response, this.#done);
  }

  /** Waits while the caller does not read. @throws the signal's reason. */
  async write(response: Response, signal: AbortSignal): Promise<void> {
    this.send(response);
    while (!this.hasRoom) {
      await this.#progress.next({ timeoutMs: RECHECK_MS, signal });
    }
  }

  readonly #done = (): void => {
    this.#unwritten -= 1;
    this.#progress.signal();
    this.onRoom();
    if (this.#unwritten === 0) this.#written();
  };

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
