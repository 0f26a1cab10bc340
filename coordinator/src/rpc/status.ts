import { randomUUID } from "node:crypto";
import { Metadata, status, type StatusObject } from "@grpc/grpc-js";
import { setErrorDetails } from "@slipway/proto";
import type { Logger } from "pino";
import { DomainError } from "../errors.js";
import { SignerError } from "../keys/signer.js";
import { isDatabaseUnavailable, isMessagingUnavailable } from "../unavailable.js";

/** The error that a gRPC call ends with. */
export type CallError = Error & StatusObject;

/**
 * Maps any error to what the caller sees. Domain errors go out as they are; a server that can't be
 * reached becomes UNAVAILABLE; everything else is logged in full under an id and hidden behind it.
 */
export function toCallError(error: unknown, log: Logger): CallError {
  const known = error instanceof DomainError ? error : fromInfrastructure(error, log);
  if (known !== undefined) return callError(known.code, known.message, known);
  const id = randomUUID();
  log.error({ err: error, errorId: id }, "internal error");
  return callError(status.INTERNAL, `internal error, id ${id}`, {
    reason: "INTERNAL",
    violations: [],
  });
}

function callError(
  code: status,
  details: string,
  info: Pick<DomainError, "reason" | "violations"> & { retryDelayMs?: number | undefined },
): CallError {
  const metadata = new Metadata();
  setErrorDetails(metadata, code, details, info);
  return Object.assign(new Error(details), { code, details, metadata });
}

function fromInfrastructure(error: unknown, log: Logger): DomainError | undefined {
  if (error instanceof SignerError) {
    const message = "what is asked for cannot be signed at the moment; try again";
    log.error({ err: error }, "nothing can be signed");
    return new DomainError(status.UNAVAILABLE, message, { reason: "SIGNER_UNAVAILABLE" });
  }
  const unreachable = isDatabaseUnavailable(error)
    ? { reason: "DATABASE_UNAVAILABLE", message: "the database is not available; try again" }
    : isMessagingUnavailable(error)
      ? { reason: "MESSAGING_UNAVAILABLE", message: "NATS is not available; try again" }
      : undefined;
  if (unreachable === undefined) return undefined;
  log.warn({ err: error }, unreachable.message);
  return new DomainError(status.UNAVAILABLE, unreachable.message, { reason: unreachable.reason });
}
