import type { Freeze, ListFreezesRequest, ListFreezesResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import type { CallInfo } from "../handler.js";
import { listFreezes as readFreezes } from "../../freeze/freezes.js";

export async function listFreezes(
  { db }: Context,
  _request: ListFreezesRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<ListFreezesResponse> {
  const freezes = await readFreezes(db);
  const { applications } = identity;
  const isTheirs = ({ application }: Freeze): boolean =>
    applications.length === 0 || application === "" || applications.includes(application);
  return { freezes: freezes.filter(isTheirs) };
}
