import type { WatchDeploymentRequest, WatchDeploymentResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";
import type { CallInfo, Outgoing } from "../handler.js";
import type { Responses } from "../responses.js";

export async function watchDeployment(
  { deploymentFeeds }: Context,
  { id, afterRevision }: WatchDeploymentRequest,
  { signal }: CallInfo,
  out: Responses<Outgoing<WatchDeploymentResponse>>,
): Promise<void> {
  const found = new Violations();
  found.uuid("id", id);
  found.throwIfAny();
  await deploymentFeeds.watch(id, afterRevision, { out, signal });
}
