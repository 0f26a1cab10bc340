import { NatsUntrustedError } from "./nats.js";
import { NatsAwayError } from "./nats-away.js";
import { isSocketError } from "./socket-error.js";

// Connection exceptions (08), shutdown and start-up (57P0x), too many connections, and a statement
// that lost a deadlock or serialisation, or ran into its time-out: all pass by themselves.
const SQLSTATES = /^(08...|57P0[1-5]|53300|40001|40P01|57014|55P03|25P0[34])$/;
// Knex puts the statement and " - " before it, with placeholders where the values are.
const CONNECTION_MESSAGES =
  /(^| - )(connection terminated|connection ended|client has encountered a connection error|client was closed|timeout expired|query read timeout|knex: timeout acquiring a connection|unable to acquire a connection)/i;

/** Whether Postgres could not be reached or gave up for a passing reason. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // NATS' own of this kind is told as NatsAwayError where it is connected to.
  if (isSocketError(error)) return true;
  if (error instanceof NatsAwayError) return false;
  if (error instanceof AggregateError) return error.errors.some(isDatabaseUnavailable);
  const { code } = error as { code?: unknown };
  if (typeof code === "string" && SQLSTATES.test(code)) return true;
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
  if (!(error instanceof Error)) return false;
  // It is there, and nothing is sent to it: it may get the right certificate at any time.
  if (error instanceof NatsUntrustedError || error instanceof NatsAwayError) return true;
  if (error.name !== "NatsError") return false;
  return NATS_CODES.has(String((error as { code?: unknown }).code));
}
