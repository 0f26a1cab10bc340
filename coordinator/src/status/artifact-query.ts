import { ArtifactQuery, ArtifactQueryReply, artifactQuerySubject } from "@slipway/proto";
import type { NatsConnection } from "nats";
import type { Logger } from "pino";

const TIMEOUT_MS = 1_000;

/** Which hosts of a region hold an artifact; undefined if no agent of it answered in time. */
export async function queryArtifact(
  nats: NatsConnection,
  log: Logger,
  region: string,
  query: ArtifactQuery,
): Promise<ArtifactQueryReply | undefined> {
  const request = ArtifactQuery.encode(query).finish();
  try {
    const reply = await nats.request(artifactQuerySubject(region), request, {
      timeout: TIMEOUT_MS,
    });
    return ArtifactQueryReply.decode(reply.data);
  } catch (error) {
    log.info({ err: error, region }, "a region did not answer an artifact query");
    return undefined;
  }
}
