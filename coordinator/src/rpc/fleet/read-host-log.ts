import type { ReadHostLogRequest, ReadHostLogResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { notFound } from "../../errors.js";
import { findHost } from "../../status/enrolment.js";
import { queryHostLog } from "../../status/host-log.js";
import { Violations } from "../../validate.js";

const DEFAULT_BYTES = 64 * 1024;
const MAX_BYTES = 512 * 1024;
const MAX_POSITION_CHARACTERS = 500;

export async function readHostLog(
  { db, nats }: Context,
  request: ReadHostLogRequest,
): Promise<ReadHostLogResponse> {
  const { hostId, application, position, maxBytes } = request;
  const found = new Violations();
  found.name("host_id", hostId);
  found.name("application", application);
  found.text("position", position, MAX_POSITION_CHARACTERS);
  found.check(maxBytes <= MAX_BYTES, "max_bytes", `must be at most ${MAX_BYTES}`);
  found.throwIfAny();
  const stored = await findHost(db, hostId);
  if (stored === undefined) throw notFound("host", hostId);
  const whole = { ...request, maxBytes: maxBytes === 0 ? DEFAULT_BYTES : maxBytes };
  return queryHostLog(nats, stored.host.region, whole);
}
