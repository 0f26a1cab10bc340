import { status, type ServiceError } from "@grpc/grpc-js";
import { getErrorDetails, type FieldViolation } from "@slipway/proto";

/** What kind of error it is: the names of gRPC's status codes. */
export type ErrorCode = Exclude<keyof typeof status, "OK">;

/** Reasons that the client gives itself, where the coordinator said none. */
export type ClientReason =
  /** No connection, or it broke, and retries did not help. */
  | "COORDINATOR_UNREACHABLE"
  /** No answer in the call's time. */
  | "TIMED_OUT"
  /** `close()` was called. */
  | "CLIENT_CLOSED"
  /** The coordinator's answer is not one that the protocol allows. */
  | "BAD_ANSWER";

/** What a SlipwayError is made of. */
export interface SlipwayErrorInit {
  code: ErrorCode;
  message: string;
  reason?: string;
  violations?: readonly FieldViolation[];
  /** Milliseconds before which the same call has no chance. */
  retryAfterMs?: number | undefined;
  /** Default: by the code, as `isRetryable` says. */
  retryable?: boolean;
  cause?: unknown;
}

/**
 * Every error of this package, except an abort, which rejects with the signal's own reason, and bad
 * options, which throw a TypeError.
 */
export class SlipwayError extends Error {
  override readonly name = "SlipwayError";
  readonly code: ErrorCode;
  /** UPPER_SNAKE_CASE and stable: a reason of the coordinator's, a ClientReason, or empty. */
  readonly reason: string;
  /** The fields at fault, by path from the request; empty unless the request was bad. */
  readonly violations: readonly FieldViolation[];
  /** Milliseconds before which the same call has no chance, if the coordinator said so. */
  readonly retryAfterMs: number | undefined;
  /** Whether the same call may succeed later with nothing changed. */
  readonly retryable: boolean;

  constructor(init: SlipwayErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.reason = init.reason ?? "";
    this.violations = init.violations ?? [];
    this.retryAfterMs = init.retryAfterMs;
    this.retryable = init.retryable ?? isRetryable(init.code);
  }
}

/** Whether an error of this code may go away by itself. */
function isRetryable(code: ErrorCode): boolean {
  return code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED" || code === "RESOURCE_EXHAUSTED";
}

/** An error of a call, with what decides whether it is made again. */
export interface CallFailure {
  error: SlipwayError;
  /** The request certainly never left: making it again is safe even if it is not idempotent. */
  unsent: boolean;
}

/** Turns what grpc-js threw into a SlipwayError that names the coordinator's address. */
export function callFailure(thrown: unknown, address: string, timeoutMs: number): CallFailure {
  if (thrown instanceof SlipwayError) return { error: thrown, unsent: false };
  if (!isServiceError(thrown)) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return {
      error: new SlipwayError({ code: "UNKNOWN", message, cause: thrown }),
      unsent: false,
    };
  }
  const details = getErrorDetails(thrown.metadata);
  const code = (status[thrown.code] ?? "UNKNOWN") as ErrorCode;
  if (details !== undefined) {
    const { reason, violations, retryDelayMs: retryAfterMs } = details;
    const error = new SlipwayError({
      code,
      message: thrown.details || code,
      reason,
      violations,
      retryAfterMs,
      cause: thrown,
    });
    return { error, unsent: false };
  }
  return transportFailure(thrown, code, address, timeoutMs);
}

/** An error without Slipway's details: made by grpc-js or something between, not by a coordinator. */
function transportFailure(
  thrown: ServiceError,
  code: ErrorCode,
  address: string,
  timeoutMs: number,
): CallFailure {
  const said = thrown.details || code;
  if (code === "DEADLINE_EXCEEDED") return { error: timedOut(address, timeoutMs), unsent: false };
  if (code === "UNAVAILABLE" || isReset(thrown)) {
    const unsent = /^No connection established|^Name resolution failed/.test(said);
    return { error: unreachable(address, connectionFault(said), thrown), unsent };
  }
  const tooLarge = code === "RESOURCE_EXHAUSTED" && /larger than max/.test(said);
  const init = { code, message: said, cause: thrown };
  const error = new SlipwayError(tooLarge ? { ...init, retryable: false } : init);
  return { error, unsent: false };
}

/** The coordinator (or a proxy before it) reset the call instead of answering it. */
function isReset(thrown: ServiceError): boolean {
  return (
    thrown.code === status.CANCELLED ||
    (thrown.code === status.INTERNAL && /RST_STREAM/.test(thrown.details))
  );
}

/** The part of grpc-js's message that a person can use. */
function connectionFault(said: string): string {
  const fault = said
    .replace(/^.*?Last error: (Error: )?/s, "")
    .replace(/(\. )?Resolution note:.*$/s, "")
    .replace(/ \(\d{4}-\d\d-[^)]*\)\s*$/, "")
    .trim();
  return fault === "" || fault === "null" ? "no connection" : fault;
}

/** The error for a coordinator that does not answer at all. */
export function unreachable(address: string, fault: string, cause?: unknown): SlipwayError {
  return new SlipwayError({
    code: "UNAVAILABLE",
    reason: "COORDINATOR_UNREACHABLE" satisfies ClientReason,
    message: `cannot reach the coordinator at ${address}: ${fault}`,
    cause,
  });
}

/** The same for several of them, of which each was tried. */
export function noneReachable(errors: readonly SlipwayError[]): SlipwayError | undefined {
  const [first] = errors;
  if (first === undefined || errors.length === 1) return first;
  const faults = errors.map(({ message }) => message.replace(/^cannot reach the coordinator /, ""));
  return new SlipwayError({
    code: "UNAVAILABLE",
    reason: "COORDINATOR_UNREACHABLE" satisfies ClientReason,
    message: `cannot reach a coordinator: ${faults.join("; ")}`,
    cause: first.cause,
  });
}

/** The error for an answer that did not come in time. */
export function timedOut(address: string, timeoutMs: number): SlipwayError {
  return new SlipwayError({
    code: "DEADLINE_EXCEEDED",
    reason: "TIMED_OUT" satisfies ClientReason,
    message: `no answer from the coordinator at ${address} within ${timeoutMs / 1000} s`,
  });
}

/** The error of every call after, or cut short by, `close()`. */
export function clientClosed(): SlipwayError {
  return new SlipwayError({
    code: "CANCELLED",
    reason: "CLIENT_CLOSED" satisfies ClientReason,
    message: "the client is closed",
  });
}

/**
 * The part of an answer that the protocol promises.
 * @throws SlipwayError INTERNAL, reason BAD_ANSWER, if it is not there.
 */
export function required<T>(value: T | undefined, method: string, field: string): T {
  if (value !== undefined) return value;
  throw new SlipwayError({
    code: "INTERNAL",
    reason: "BAD_ANSWER" satisfies ClientReason,
    message: `the coordinator's answer to ${method} has no ${field}`,
  });
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return (
    thrown instanceof Error &&
    typeof (thrown as Partial<ServiceError>).code === "number" &&
    (thrown as Partial<ServiceError>).metadata !== undefined
  );
}
