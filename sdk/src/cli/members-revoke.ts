import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plain } from "./text.js";

interface Options {
  reason: string;
  allowMissing?: boolean;
}

export const addMembersRevoke: AddCommand = (group, run) => {
  group
    .command("revoke")
    .summary("take a member out of the fleet for good")
    .description(
      "Takes a host, region agent or builder out of the fleet: its certificate holds no more, and it " +
        "cannot come back under the same id. A host is decommissioned as well; a builder gets no more " +
        "builds, whatever token it shows.",
    )
    .argument("<member>", "the member's id")
    .requiredOption("--reason <text>", "why, for people to read later")
    .option("--allow-missing", "also an id that never joined: its identity was made by hand")
    .addHelpText("after", '\nExample:\n  slipway members revoke web-17 --reason "keys stolen"')
    .action(
      run(async (session, id: string, { reason, allowMissing = false }: Options) => {
        const { client, signal, user } = session;
        await client.members.revoke({ id, actor: user, reason, allowMissing }, { signal });
        await print(
          session,
          () => ({ memberId: id }),
          () => `${plain(id)} is revoked\n`,
        );
      }),
    );
};
