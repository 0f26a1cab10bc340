import { Token } from "@slipway/proto";
import { messageJson } from "./json.js";
import { tokenTable } from "./render/tokens.js";
import { parseLimit, type AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";
import { take } from "./take.js";

export const addTokenList: AddCommand = (group, run) => {
  group
    .command("list")
    .summary("list tokens, the newest first")
    .option("--all", "those that were revoked or have expired as well")
    .option("--limit <n>", 'at most so many, or "all"', parseLimit, 100)
    .action(
      run(async (session, { all, limit }: { all?: true; limit: number }) => {
        const { client, signal } = session;
        const listed = client.tokens.list({ includeEnded: all === true }, { signal });
        const tokens = await take(session, listed, limit);
        await print(
          session,
          () => ({ tokens: tokens.map((token) => messageJson(Token, token)) }),
          () => tokenTable(tokens, lookOf(session)),
        );
      }),
    );
};
