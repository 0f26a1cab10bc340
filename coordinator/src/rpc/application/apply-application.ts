import type { ApplyApplicationRequest, ApplyApplicationResponse } from "@slipway/proto";
import { checkSpec } from "../../application/spec.js";
import * as store from "../../application/store.js";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";

export async function applyApplication(
  { db, log }: Context,
  { name, spec, expectedRevision, actor, reason }: ApplyApplicationRequest,
): Promise<ApplyApplicationResponse> {
  const found = new Violations();
  found.name("name", name);
  const checked = checkSpec(spec, found);
  const by = checkAuthor({ actor, reason }, found);
  found.throwIfAny();
  const applied = await store.applyApplication(db, name, checked, expectedRevision, by);
  if (applied.changed) {
    const { revision } = applied.application;
    log.info({ application: name, revision, actor, reason }, "application applied");
  }
  return applied;
}
