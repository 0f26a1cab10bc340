import type { ListRegionsRequest, ListRegionsResponse } from "@slipway/proto";
import type { Knex } from "knex";
import { listApplications } from "../../application/store.js";
import type { Context } from "../../context.js";
import { countHosts } from "../../status/enrolment.js";

const PAGE_SIZE = 500;

/** Every region that an application names, that has hosts, or whose agents were heard of. */
export async function listRegions(
  { db, status }: Context,
  _request: ListRegionsRequest,
): Promise<ListRegionsResponse> {
  const [hosts, named] = await Promise.all([countHosts(db), regionsOfApplications(db)]);
  const names = new Set([...hosts.keys(), ...named, ...status.regions()]);
  return {
    regions: [...names].sort().map((name) => ({
      name,
      ...status.region(name),
      enrolledHostCount: hosts.get(name) ?? 0,
    })),
  };
}

async function regionsOfApplications(db: Knex): Promise<Set<string>> {
  const regions = new Set<string>();
  let after: string | undefined;
  do {
    const page = await listApplications(db, { after, limit: PAGE_SIZE });
    for (const { spec } of page) for (const region of spec?.regions ?? []) regions.add(region);
    after = page.length === PAGE_SIZE ? page.at(-1)?.name : undefined;
  } while (after !== undefined);
  return regions;
}
