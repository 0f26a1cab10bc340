import { HostQuery, HostQueryReply, hostQuerySubject, type HostStatus } from "@slipway/proto";
import type { NatsConnection } from "nats";
import type { Logger } from "pino";

/** Replies must stay below NATS' 1 MiB a message. */
const HOSTS_PER_QUERY = 200;
/** Agents are waited for so long. */
export const QUERY_TIMEOUT_MS = 1_000;

/** What a region's agents know of the hosts, by host id; undefined if none answered in time. */
export async function queryHosts(
  nats: NatsConnection,
  log: Logger,
  region: string,
  hostIds: readonly string[],
): Promise<ReadonlyMap<string, HostStatus> | undefined> {
  const parts: string[][] = [];
  for (let start = 0; start < hostIds.length; start += HOSTS_PER_QUERY) {
    parts.push(hostIds.slice(start, start + HOSTS_PER_QUERY));
  }
  try {
    const replies = await Promise.all(parts.map((part) => query(nats, region, part)));
    return new Map(replies.flat().map((status) => [status.hostId, status]));
  } catch (error) {
    log.info({ err: error, region }, "a region did not answer a host query");
    return undefined;
  }
}

/** The first agent that answers is taken. */
async function query(
  nats: NatsConnection,
  region: string,
  hostIds: string[],
): Promise<HostStatus[]> {
  const request = HostQuery.encode({ hostIds }).finish();
  const reply = await nats.request(hostQuerySubject(region), request, {
    timeout: QUERY_TIMEOUT_MS,
  });
  return HostQueryReply.decode(reply.data).hosts;
}
