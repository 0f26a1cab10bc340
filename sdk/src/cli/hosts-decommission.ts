import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plain } from "./text.js";

export const addHostsDecommission: AddCommand = (group, run) => {
  group
    .command("decommission")
    .summary("take a host out of the fleet for good")
    .description(
      "Takes a host out of the fleet: it counts in no deployment any more, and its certificate is " +
        "revoked. It cannot come back under the same id.",
    )
    .argument("<host>", "the host's id")
    .requiredOption("--reason <text>", "why, for people to read later")
    .addHelpText("after", '\nExample:\n  slipway hosts decommission web-17 --reason "disk broken"')
    .action(
      run(async (session, hostId: string, { reason }: { reason: string }) => {
        const { client, signal, user } = session;
        await client.fleet.decommissionHost({ hostId, actor: user, reason }, { signal });
        await print(
          session,
          () => ({ hostId }),
          () => `host ${plain(hostId)} is out of the fleet\n`,
        );
      }),
    );
};
