import type { WatchDeploymentRequest, WatchDeploymentResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";
import type { CallInfo, Outgoing } from "../handler.js";

/** Checks, and hands on what the feeds say: one generator less for each of thousands of watchers. */
export function watchDeployment(
  { deploymentFeeds }: Context,
  { id, afterRevision }: WatchDeploymentRequest,
  { signal }: CallInfo,
): AsyncIterable<Outgoing<WatchDeploymentResponse>> {
  const found = new Violations();
  found.uuid("id", id);
  found.throwIfAny();
  return deploymentFeeds.watch(id, afterRevision, signal);
}
