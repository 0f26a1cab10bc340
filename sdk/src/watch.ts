import { methodName, type Caller, type Method } from "./caller.js";
import { timedOut, unreachable, type SlipwayError } from "./errors.js";
import { milliseconds, type WatchOptions } from "./options.js";
import type { Next } from "./stream.js";

/** What one watch asks for, and what it has seen; without I/O. */
export interface WatchPlan<Request, Response, Event> {
  readonly method: Method<Request, Response>;
  /** Asks for what is still to come, from where the watch has got to. */
  request(): Request;
  /** What is new in a message; nothing if it was all seen before. */
  take(response: Response): readonly Event[];
  /**
   * Asked when a connection's first answer is late. True if there may have been nothing to say; the
   * next request is then one that must be answered.
   */
  mayBeSilent(): boolean;
  /** True once nothing more is wanted, whatever the coordinator would still send. */
  isDone(): boolean;
  /** Milliseconds without a message that count as the stream's end; undefined: none do. */
  quietMs(): number | undefined;
  /** The last events, if a stream's end is the watch's end now; undefined to connect again. */
  atEnd(): readonly Event[] | undefined;
  /** Held back so far; what a watch still has to say before it gives up. */
  held(): readonly Event[];
}

/**
 * Follows a stream across connections. Ends after the plan's last event. A consumer that leaves
 * (`break`) cancels the call; one that is slow holds the coordinator back, and nothing piles up.
 * @throws SlipwayError, for what no reconnect can mend, and after `unavailableTimeoutMs` without
 *   contact; the signal's reason when it aborts.
 */
export async function* watch<Request, Response, Event>(
  caller: Caller,
  plan: WatchPlan<Request, Response, Event>,
  options: WatchOptions = {},
): AsyncGenerator<Event, void, undefined> {
  const { signal } = options;
  const defaults = caller.options;
  const timeoutMs = milliseconds("timeoutMs", options.timeoutMs, defaults.timeoutMs);
  const unavailableTimeoutMs = milliseconds(
    "unavailableTimeoutMs",
    options.unavailableTimeoutMs,
    defaults.unavailableTimeoutMs,
  );
  let failures = 0;
  let lostSince: number | undefined;
  for (;;) {
    const connection = await caller.stream(plan.method, plan.request(), signal, timeoutMs);
    let heard = false;
    let error: SlipwayError | undefined;
    try {
      while (error === undefined) {
        let next: Next<Response>;
        try {
          next = await connection.next(heard ? plan.quietMs() : timeoutMs);
        } catch (thrown) {
          connection.signal.throwIfAborted();
          error = caller.streamFailure(thrown, connection.address, timeoutMs);
          break;
        }
        if (next.kind === "message") {
          heard = true;
          lostSince = undefined;
          for (const event of plan.take(next.message)) {
            failures = 0;
            yield event;
            signal?.throwIfAborted();
          }
          if (plan.isDone()) return;
        } else if (next.kind === "quiet" && !heard && plan.mayBeSilent()) {
          break;
        } else if (next.kind === "quiet" && !heard) {
          const late = timedOut(connection.address, timeoutMs);
          error = caller.streamFailure(late, connection.address, timeoutMs);
        } else {
          const last = plan.atEnd();
          if (last !== undefined) {
            yield* last;
            return;
          }
          error = unreachable(connection.address, "it ended the watch before the end");
        }
      }
    } finally {
      connection.cancel();
    }
    if (error === undefined) continue;
    lostSince ??= performance.now();
    failures++;
    if (!error.retryable) throw error;
    if (performance.now() - lostSince >= unavailableTimeoutMs) {
      yield* plan.held();
      throw error;
    }
    await caller.pause(methodName(plan.method), failures, error, signal);
  }
}
