import type { CreateFreezeRequest, CreateFreezeResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { notFound } from "../../errors.js";
import { createFreeze as store } from "../../freeze/freezes.js";
import { knownRegions } from "../../status/regions.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

const MAX_MS = 90 * 24 * 3_600_000;

export async function createFreeze(
  context: Context,
  { application, region, actor, reason, expireTime }: CreateFreezeRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<CreateFreezeResponse> {
  const found = new Violations();
  if (application !== "") found.name("application", application);
  if (region !== "") found.name("region", region);
  const both = "an application or a region must be named, and not both";
  found.check((application === "") !== (region === ""), "application", both);
  const by = checkAuthor({ actor, reason, tokenId: identity.tokenId }, found, {
    needsReason: true,
  });
  if (expireTime === undefined) found.add("expire_time", "is missing");
  else found.time("expire_time", expireTime);
  found.throwIfAny();
  const { db, log } = context;
  // One that is misspelt would freeze nothing.
  if (region !== "" && !(await knownRegions(context)).names.has(region)) {
    throw notFound("region", region);
  }
  const scope = application === "" ? { region } : { application };
  const until = { expireTime: expireTime ?? new Date(0), maxMs: MAX_MS };
  const freeze = await store(db, scope, until, by);
  log.info({ freezeId: freeze.id, ...scope, actor, reason, expireTime }, "frozen");
  return { freeze };
}
