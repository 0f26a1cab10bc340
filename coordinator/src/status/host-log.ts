import { status } from "@grpc/grpc-js";
import {
  ERROR_HEADER,
  hostLogSubject,
  ReadHostLogRequest,
  ReadHostLogResponse,
} from "@slipway/proto";
import type { Msg, NatsConnection } from "nats";
import { DomainError, unavailable } from "../errors.js";

const TIMEOUT_MS = 5_000;
/** What an agent may say in its error header, before a colon and what it says to a person. */
const CODES = new Map([
  ["NOT_FOUND", status.NOT_FOUND],
  ["INVALID_ARGUMENT", status.INVALID_ARGUMENT],
  ["FAILED_PRECONDITION", status.FAILED_PRECONDITION],
  ["RESOURCE_EXHAUSTED", status.RESOURCE_EXHAUSTED],
]);

/**
 * Reads a part of a host's log through its region's agents.
 * @throws DomainError UNAVAILABLE if nobody answers, or what the answer says is wrong.
 */
export async function queryHostLog(
  nats: NatsConnection,
  region: string,
  request: ReadHostLogRequest,
): Promise<ReadHostLogResponse> {
  const payload = ReadHostLogRequest.encode(request).finish();
  let reply: Msg;
  try {
    reply = await nats.request(hostLogSubject(region), payload, { timeout: TIMEOUT_MS });
  } catch (error) {
    throw unanswered(region, request.hostId, error);
  }
  const wrong = reply.headers?.get(ERROR_HEADER) ?? "";
  if (wrong !== "") throw refused(wrong, region);
  return ReadHostLogResponse.decode(reply.data);
}

function unanswered(region: string, hostId: string, cause: unknown): Error {
  const { code } = cause as { code?: unknown };
  if (code === "503") {
    return unavailable(
      "REGION_UNREACHABLE",
      `no agent of region ${region} listens: check that one runs and is connected to the global NATS`,
      cause,
    );
  }
  return unavailable(
    "HOST_UNREACHABLE",
    `nobody answered for host ${hostId} within ${TIMEOUT_MS / 1_000} s: check that it runs and is ` +
      `connected to the NATS of region ${region}, and that a coordinator reaches the global NATS`,
    cause,
  );
}

function refused(header: string, region: string): Error {
  const [, name = "", message = header] = /^([A-Z_]+): (.*)$/.exec(header) ?? [];
  const code = CODES.get(name);
  const details = `region ${region} says: ${message.slice(0, 500)}`;
  if (code === undefined) return unavailable("HOST_UNREACHABLE", details);
  return new DomainError(code, details, { reason: `HOST_LOG_${name}` });
}
