import { FleetServiceService, ReadHostLogRequest } from "@slipway/proto";
import { methodName, type Caller } from "./caller.js";
import { SlipwayError } from "./errors.js";
import { milliseconds, type WatchOptions } from "./options.js";

/** Which part of which log to read. */
export interface HostLogRequest {
  hostId: string;
  application: string;
  /** Go on with what is printed later, until you `break` or abort. Default false. */
  follow?: boolean;
  /** Go on from where a part ended. Default: the last `maxBytes`. */
  position?: string;
  /** Bytes of one part, at most 524,288. Default 65,536. */
  maxBytes?: number;
}

/** A part of what an application printed on a host. */
export interface HostLogPart {
  /** Whole lines as they were printed, but for one that is longer than `maxBytes`. */
  content: Uint8Array;
  /** Goes on from here. */
  position: string;
  /** Lines before the content were rotated away unread. */
  gap: boolean;
}

/** Between looks for something new: a person reads no faster, and a host is asked no oftener. */
const FOLLOW_MS = 1_000;

const method = FleetServiceService.readHostLog;

/**
 * Reads parts until there are no more, or for ever. What is asked for by position is read to its
 * end; without one, what there is at first is one part.
 */
export async function* readHostLog(
  caller: Caller,
  request: HostLogRequest,
  options: WatchOptions = {},
): AsyncGenerator<HostLogPart, void, undefined> {
  const { hostId, application, follow = false, maxBytes = 0 } = request;
  const { signal } = options;
  const limitMs = milliseconds(
    "unavailableTimeoutMs",
    options.unavailableTimeoutMs,
    caller.options.unavailableTimeoutMs,
  );
  const toItsEnd = follow || (request.position ?? "") !== "";
  let position = request.position ?? "";
  let failures = 0;
  let heard = performance.now();
  for (;;) {
    const asked = ReadHostLogRequest.fromPartial({ hostId, application, position, maxBytes });
    try {
      const part = await caller.unary(method, "idempotent", asked, options);
      failures = 0;
      heard = performance.now();
      position = part.position;
      const isNew = part.content.length > 0 || part.gap;
      if (isNew) yield { content: part.content, position, gap: part.gap };
      if (!toItsEnd || (!isNew && !follow)) return;
      if (!isNew) await caller.sleep(FOLLOW_MS, signal);
    } catch (error) {
      signal?.throwIfAborted();
      const passes = error instanceof SlipwayError && error.retryable;
      if (!follow || !passes || performance.now() - heard >= limitMs) throw error;
      failures++;
      await caller.pause(methodName(method), failures, error, signal);
    }
  }
}
