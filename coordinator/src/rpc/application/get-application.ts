import type { GetApplicationRequest, GetApplicationResponse } from "@slipway/proto";
import * as store from "../../application/store.js";
import type { Context } from "../../context.js";
import { Violations } from "../../validate.js";

export async function getApplication(
  { db }: Context,
  { name, revision }: GetApplicationRequest,
): Promise<GetApplicationResponse> {
  const found = new Violations();
  found.name("name", name);
  found.check(revision <= 2_147_483_647, "revision", "is out of range");
  found.throwIfAny();
  return { application: await store.getApplication(db, name, revision) };
}
