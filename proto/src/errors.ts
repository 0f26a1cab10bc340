import type { Metadata } from "@grpc/grpc-js";
import {
  BadRequest,
  ErrorInfo,
  ErrorStatus,
  RetryInfo,
  type FieldViolation,
} from "../gen/slipway/v1/error.js";
import { durationFromMs, durationToMs } from "./duration.js";

const TRAILER = "grpc-status-details-bin";
const BAD_REQUEST_URL = "type.googleapis.com/google.rpc.BadRequest";
const RETRY_INFO_URL = "type.googleapis.com/google.rpc.RetryInfo";
const ERROR_INFO_URL = "type.googleapis.com/google.rpc.ErrorInfo";

/** What an error says to programs beside its gRPC code and message. */
export interface ErrorDetails {
  /** UPPER_SNAKE_CASE and stable; empty if the server did not say. */
  reason: string;
  /** The fields at fault, by path from the request. */
  violations: readonly FieldViolation[];
  /** Milliseconds after which the same call has a chance; absent if the server did not say. */
  retryDelayMs?: number | undefined;
}

/** Puts error details into the trailer where gRPC libraries look for them. */
export function setErrorDetails(
  trailer: Metadata,
  code: number,
  message: string,
  details: ErrorDetails,
): void {
  const info = ErrorInfo.fromPartial({ reason: details.reason, domain: "slipway" });
  const any = [{ typeUrl: ERROR_INFO_URL, value: Buffer.from(ErrorInfo.encode(info).finish()) }];
  if (details.violations.length > 0) {
    const value = BadRequest.encode({ fieldViolations: [...details.violations] }).finish();
    any.push({ typeUrl: BAD_REQUEST_URL, value: Buffer.from(value) });
  }
  if (details.retryDelayMs !== undefined) {
    const value = RetryInfo.encode({ retryDelay: durationFromMs(details.retryDelayMs) }).finish();
    any.push({ typeUrl: RETRY_INFO_URL, value: Buffer.from(value) });
  }
  const status = ErrorStatus.fromPartial({ code, message, details: any });
  trailer.set(TRAILER, Buffer.from(ErrorStatus.encode(status).finish()));
}

/** Reads error details from a trailer; undefined if it has none that can be read. */
export function getErrorDetails(trailer: Metadata): ErrorDetails | undefined {
  const [value] = trailer.get(TRAILER);
  if (!(value instanceof Buffer)) return undefined;
  try {
    const details: ErrorDetails = { reason: "", violations: [] };
    for (const any of ErrorStatus.decode(value).details) {
      if (any.typeUrl === ERROR_INFO_URL) details.reason = ErrorInfo.decode(any.value).reason;
      if (any.typeUrl === BAD_REQUEST_URL) {
        details.violations = BadRequest.decode(any.value).fieldViolations;
      }
      if (any.typeUrl === RETRY_INFO_URL) {
        details.retryDelayMs = durationToMs(RetryInfo.decode(any.value).retryDelay, 0);
      }
    }
    return details;
  } catch {
    return undefined;
  }
}
