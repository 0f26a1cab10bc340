import { isSocketError } from "./socket-error.js";

/** NATS servers could not be connected to. The library throws the socket's own error, which names nobody. */
export class NatsAwayError extends Error {
  override readonly name = "NatsAwayError";
}

/** What connecting to NATS threw: told as NatsAwayError if nobody was there. */
export function asNatsAway(error: unknown, urls: readonly string[]): unknown {
  if (!isSocketError(error)) return error;
  const { message } = error as Error;
  return new NatsAwayError(`NATS at ${urls.join(", ")} cannot be reached: ${message}`, {
    cause: error,
  });
}
