import type { ListFreezesRequest, ListFreezesResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { listFreezes as readFreezes } from "../../freeze/freezes.js";

export async function listFreezes(
  { db }: Context,
  _request: ListFreezesRequest,
): Promise<ListFreezesResponse> {
  return { freezes: await readFreezes(db) };
}
