import { Region } from "@slipway/proto";
import { messageJson } from "./json.js";
import { regionTable } from "./render/fleet.js";
import type { AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";

export const addRegions: AddCommand = (group, run) => {
  group
    .command("regions")
    .summary("list regions, their agents and how many hosts they have")
    .action(
      run(async (session) => {
        const regions = await session.client.fleet.regions({ signal: session.signal });
        await print(
          session,
          () => ({ regions: regions.map((region) => messageJson(Region, region)) }),
          () => regionTable(regions, lookOf(session)),
        );
      }),
    );
};
