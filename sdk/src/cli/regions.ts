import { Region } from "@slipway/proto";
import { messageJson } from "./json.js";
import { regionTable } from "./render/fleet.js";
import type { RegionList } from "../fleet.js";
import type { AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";

export const addRegions: AddCommand = (group, run) => {
  group
    .command("regions")
    .summary("list regions, their agents and how many hosts they have")
    .action(
      run(async (session) => {
        const list = await session.client.fleet.regionList({ signal: session.signal });
        await print(
          session,
          () => regionListJson(list),
          () => regionTable(list, lookOf(session)),
        );
      }),
    );
};

/** Regions as JSON, and since when they are not heard, if they are not. */
export function regionListJson({ regions, unheardSince }: RegionList): object {
  return { regions: regions.map((region) => messageJson(Region, region)), unheardSince };
}
