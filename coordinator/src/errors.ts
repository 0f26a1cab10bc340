import { status } from "@grpc/grpc-js";
import type { FieldViolation } from "@slipway/proto";

/** What kind of thing a caller named that is not there, in its reason: `BUILD_NOT_FOUND`. */
export interface DomainErrorOptions {
  /** UPPER_SNAKE_CASE and stable, for programs. */
  reason: string;
  /** The fields at fault, by path from the request. */
  violations?: readonly FieldViolation[];
  /** Milliseconds after which the same call has a chance. */
  retryDelayMs?: number;
  cause?: unknown;
}

/** An error that is the caller's to know: its code, message and details are sent as they are. */
export class DomainError extends Error {
  override readonly name = "DomainError";
  readonly code: status;
  readonly reason: string;
  readonly violations: readonly FieldViolation[];
  readonly retryDelayMs: number | undefined;

  constructor(code: status, message: string, options: DomainErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = options.reason;
    this.violations = options.violations ?? [];
    this.retryDelayMs = options.retryDelayMs;
  }
}

/** There is no such thing. Reason: `BUILD_NOT_FOUND` for kind "build". */
export function notFound(kind: string, name: string): DomainError {
  const reason = `${kind.toUpperCase().replaceAll(/[^A-Z]+/g, "_")}_NOT_FOUND`;
  return new DomainError(status.NOT_FOUND, `there is no ${kind} ${printable(name)}`, { reason });
}

/** The request is bad whatever the state. The message names every field at fault. */
export function invalidArgument(violations: readonly FieldViolation[]): DomainError {
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return new DomainError(status.INVALID_ARGUMENT, message, {
    reason: "INVALID_ARGUMENT",
    violations,
  });
}

/** The state does not allow it; the same call may succeed once the state has changed. */
export function failedPrecondition(reason: string, message: string): DomainError {
  return new DomainError(status.FAILED_PRECONDITION, message, { reason });
}

/** Somebody else was first: read again and decide again. */
export function aborted(reason: string, message: string): DomainError {
  return new DomainError(status.ABORTED, message, { reason });
}

/** The name or key is taken by something else. */
export function alreadyExists(reason: string, message: string): DomainError {
  return new DomainError(status.ALREADY_EXISTS, message, { reason });
}

/** Try again later, unchanged. */
export function unavailable(reason: string, message: string, cause?: unknown): DomainError {
  return new DomainError(status.UNAVAILABLE, message, { reason, cause });
}

/** The caller is who it says, and may not do this. */
export function permissionDenied(reason: string, message: string): DomainError {
  return new DomainError(status.PERMISSION_DENIED, message, { reason });
}

/** An address has to wait: too many calls from it did not prove who they are. */
export function tooManyFailures(retryDelayMs: number): DomainError {
  const seconds = Math.ceil(retryDelayMs / 1_000);
  return new DomainError(
    status.RESOURCE_EXHAUSTED,
    `too many calls from this address came without a valid token; try again in ${seconds} s`,
    { reason: "TOO_MANY_AUTH_FAILURES", retryDelayMs },
  );
}

/** The caller did not prove who it is. */
export function unauthenticated(reason: string, message: string): DomainError {
  return new DomainError(status.UNAUTHENTICATED, message, { reason });
}

/** A bound is reached: fewer or smaller, or later. */
export function resourceExhausted(reason: string, message: string): DomainError {
  return new DomainError(status.RESOURCE_EXHAUSTED, message, { reason });
}

/** The caller's own words in a message: quoted, without control characters, cut to 100. */
function printable(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
