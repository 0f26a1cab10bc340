import type { WatchDeploymentRequest, WatchDeploymentResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";
import type { CallInfo, Outgoing } from "../handler.js";

export async function* watchDeployment(
  { deploymentFeeds }: Context,
  { id, afterRevision }: WatchDeploymentRequest,
  { signal }: CallInfo,
): AsyncGenerator<Outgoing<WatchDeploymentResponse>> {
  const found = new Violations();
  found.uuid("id", id);
  found.throwIfAny();
  yield* deploymentFeeds.watch(id, afterRevision, signal);
}
