import { Freeze } from "@slipway/proto";
import { messageJson } from "./json.js";
import { freezeTable } from "./render/freeze.js";
import type { AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";

export const addFreezeList: AddCommand = (group, run) => {
  group
    .command("list")
    .summary("list the freezes in force")
    .action(
      run(async (session) => {
        const freezes = await session.client.freezes.list({ signal: session.signal });
        await print(
          session,
          () => ({ freezes: freezes.map((freeze) => messageJson(Freeze, freeze)) }),
          () => freezeTable(freezes, lookOf(session)),
        );
      }),
    );
};
