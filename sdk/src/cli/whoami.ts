import { Token } from "@slipway/proto";
import { messageJson } from "./json.js";
import { tokenText } from "./render/tokens.js";
import type { AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";

export const addWhoAmI: AddCommand = (program, run) => {
  program
    .command("whoami")
    .summary("show whose token is sent, and what it may do")
    .action(
      run(async (session) => {
        const token = await session.client.tokens.whoAmI({ signal: session.signal });
        await print(
          session,
          () => (token === undefined ? {} : { token: messageJson(Token, token) }),
          () =>
            token === undefined
              ? "anybody: the coordinator asks for no tokens\n"
              : tokenText(token, lookOf(session)),
        );
      }),
    );
};
