import type {
  WatchReplicationTargetsRequest,
  WatchReplicationTargetsResponse,
} from "@slipway/proto";
import type { Context } from "../../context.js";
import { watchTargets } from "../../replication/targets.js";
import { Violations } from "../../validate.js";
import type { CallInfo } from "../handler.js";

export async function* watchReplicationTargets(
  context: Context,
  { region }: WatchReplicationTargetsRequest,
  { signal }: CallInfo,
): AsyncGenerator<WatchReplicationTargetsResponse> {
  const found = new Violations();
  found.name("region", region);
  found.throwIfAny();
  for await (const { artifactDigest, sizeBytes } of watchTargets(context, region, signal)) {
    yield { artifactDigest, sizeBytes };
  }
}
