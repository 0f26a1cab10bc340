import type {
  ApplyApplicationRequest,
  ApplyApplicationResponse,
  ApplyWarning,
} from "@slipway/proto";
import { checkSpec } from "../../application/spec.js";
import * as store from "../../application/store.js";
import { unknownRegions } from "../../application/unknown-regions.js";
import type { Context } from "../../context.js";
import { failedPrecondition } from "../../errors.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

export async function applyApplication(
  context: Context,
  { name, spec, expectedRevision, actor, reason }: ApplyApplicationRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<ApplyApplicationResponse> {
  const { db, log, hookSecret } = context;
  const found = new Violations();
  found.name("name", name);
  const checked = checkSpec(spec, found);
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found);
  found.throwIfAny();
  // Unsigned, anybody could say what only we know.
  if (checked.notificationHooks.length > 0 && hookSecret === undefined) {
    throw failedPrecondition(
      "HOOK_SECRET_MISSING",
      "notification hooks need a secret to sign with: start the coordinator with --hook-secret-file, " +
        "or apply the application without notification_hooks",
    );
  }
  const applied = await store.applyApplication(db, name, checked, expectedRevision, by);
  if (applied.changed) {
    const { revision } = applied.application;
    log.info({ application: name, revision, actor, reason }, "application applied");
  }
  return { ...applied, warnings: await warningsOf(context, checked.regions) };
}

/** What was applied is applied, whether or not that can be found out. */
async function warningsOf(context: Context, regions: readonly string[]): Promise<ApplyWarning[]> {
  try {
    return await unknownRegions(context, regions);
  } catch (error) {
    context.log.warn(
      { err: error },
      "it cannot be told whether an application's regions are known",
    );
    return [];
  }
}
