import type { ListRegionsRequest, ListRegionsResponse } from "@slipway/proto";
import type { Context } from "../../context.js";
import { knownRegions } from "../../status/regions.js";

export async function listRegions(
  context: Context,
  _request: ListRegionsRequest,
): Promise<ListRegionsResponse> {
  const { names, hosts } = await knownRegions(context);
  return {
    regions: [...names].sort().map((name) => ({
      name,
      ...context.status.region(name),
      enrolledHostCount: hosts.get(name) ?? 0,
    })),
    unheardSince: context.status.unheardSince,
  };
}
