import type { ApplyApplicationRequest, ApplyApplicationResponse } from "@slipway/proto";
import { checkSpec } from "../../application/spec.js";
import * as store from "../../application/store.js";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";

export async function applyApplication(
  { db, log }: Context,
  { name, spec, expectedRevision }: ApplyApplicationRequest,
): Promise<ApplyApplicationResponse> {
  const found = new Violations();
  found.name("name", name);
  const checked = checkSpec(spec, found);
  found.throwIfAny();
  const applied = await store.applyApplication(db, name, checked, expectedRevision);
  if (applied.changed) {
    log.info({ application: name, revision: applied.application.revision }, "application applied");
  }
  return applied;
}
