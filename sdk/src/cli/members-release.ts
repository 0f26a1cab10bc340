import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plain } from "./text.js";

export const addMembersRelease: AddCommand = (group, run) => {
  group
    .command("release")
    .summary("let another key join under a member's id")
    .description(
      "Lets another key join under a member's id, once, as when its machine is set up again. Until " +
        "then the present one goes on, and its certificate holds until it ends: revoke it instead if " +
        "its key may be in other hands.",
    )
    .argument("<member>", "the member's id")
    .requiredOption("--reason <text>", "why, for people to read later")
    .addHelpText("after", '\nExample:\n  slipway members release web-17 --reason "new disk"')
    .action(
      run(async (session, id: string, { reason }: { reason: string }) => {
        const { client, signal, user } = session;
        await client.members.release({ id, actor: user, reason }, { signal });
        await print(
          session,
          () => ({ memberId: id }),
          () => `${plain(id)} is released: another key may join under this id\n`,
        );
      }),
    );
};
