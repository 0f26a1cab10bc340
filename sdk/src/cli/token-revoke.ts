import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plain } from "./text.js";

export const addTokenRevoke: AddCommand = (group, run) => {
  group
    .command("revoke")
    .summary("end a token for good, within seconds")
    .argument("<id>", "the token's id, as `slipway token list` shows it")
    .requiredOption("--reason <text>", "why, for people to read later")
    .addHelpText("after", "\nIt is in the token's text too: slipway_ID_…")
    .action(
      run(async (session, tokenId: string, { reason }: { reason: string }) => {
        await session.client.tokens.revoke({ id: tokenId, reason }, { signal: session.signal });
        await print(
          session,
          () => ({ tokenId }),
          () => `token ${plain(tokenId)} is revoked\n`,
        );
      }),
    );
};
