import { randomUUID } from "node:crypto";
import { Metadata, status, type StatusObject } from "@grpc/grpc-js";
import { setErrorDetails } from "@slipway/proto";
import type { Logger } from "pino";
import { DomainError } from "../errors.js";

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
  info: Pick<DomainError, "reason" | "violations">,
): CallError {
  const metadata = new Metadata();
  setErrorDetails(metadata, code, details, info);
  return Object.assign(new Error(details), { code, details, metadata });
}

function fromInfrastructure(error: unknown, log: Logger): DomainError | undefined {
  const unreachable = isDatabaseUnavailable(error)
    ? { reason: "DATABASE_UNAVAILABLE", message: "the database is not available; try again" }
    : isMessagingUnavailable(error)
      ? { reason: "MESSAGING_UNAVAILABLE", message: "NATS is not available; try again" }
      : undefined;
  if (unreachable === undefined) return undefined;
  log.warn({ err: error }, unreachable.message);
  return new DomainError(status.UNAVAILABLE, unreachable.message, { reason: unreachable.reason });
}

const SOCKET_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
]);
// Connection exceptions (08), shutdown and start-up (57P0x), too many connections, and a statement
// that lost a deadlock or serialisation, or ran into its time-out: all pass by themselves.
const SQLSTATES = /^(08...|57P0[1-5]|53300|40001|40P01|57014|55P03|25P0[34])$/;
// Knex puts the statement and " - " before it, with placeholders where the values are.
const CONNECTION_MESSAGES =
  /(^| - )(connection terminated|connection ended|client has encountered a connection error|client was closed|timeout expired|query read timeout|knex: timeout acquiring a connection|unable to acquire a connection)/i;

/** Whether Postgres could not be reached or gave up for a passing reason. */
function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError) return error.errors.some(isDatabaseUnavailable);
  const { code } = error as { code?: unknown };
  if (typeof code === "string" && (SOCKET_CODES.has(code) || SQLSTATES.test(code))) return true;
  return CONNECTION_MESSAGES.test(error.message);
}

const NATS_CODES = new Set([
  "503",
  "TIMEOUT",
  "CONNECTION_CLOSED",
  "CONNECTION_DRAINING",
  "CONNECTION_REFUSED",
  "CONNECTION_TIMEOUT",
  "DISCONNECT",
]);

/** Whether NATS or its JetStream could not be reached. */
export function isMessagingUnavailable(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== "NatsError") return false;
  return NATS_CODES.has(String((error as { code?: unknown }).code));
}
