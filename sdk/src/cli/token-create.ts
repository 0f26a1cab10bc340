import { MEMBER_ROLES, type Role, Token, TOKEN_ROLES, type TokenRole } from "@slipway/proto";
import { InvalidArgumentError, Option } from "commander";
import { messageJson } from "./json.js";
import { tokenText } from "./render/tokens.js";
import type { AddCommand } from "./run.js";
import { lookOf, note, print } from "./session.js";
import { plain } from "./text.js";
import { parseDurationOption } from "./time-option.js";

interface Options {
  name: string;
  role: TokenRole;
  for: number;
  app?: string[];
  region?: string;
  subject?: string;
  memberRole?: Role;
  maxUses?: number;
  allowRejoin?: true;
  reason?: string;
}

const DAY_MS = 24 * 3_600_000;

export const addTokenCreate: AddCommand = (group, run) => {
  group
    .command("create")
    .summary("make a token; its text is printed once, and kept nowhere")
    .requiredOption("--name <name>", "who acts with it: the actor that the audit shows")
    .requiredOption("--role <role>", Object.keys(TOKEN_ROLES).join(", "), oneOf(TOKEN_ROLES))
    .addOption(
      new Option("--for <duration>", "until it expires; at most 366d")
        .argParser(parseDurationOption)
        .default(30 * DAY_MS, "30d"),
    )
    .option("--app <apps>", "limit a viewer, deployer or admin to these, with commas", parseList)
    .option("--region <region>", "limit a region's or enrolment token to this one")
    .option("--subject <id>", "the only builder or member that may use it")
    .option("--member-role <role>", "what may join with it (default: host)", oneOf(MEMBER_ROLES))
    .option("--max-uses <n>", "how many may join with it", parseUses)
    .option("--allow-rejoin", "another key may take the place of a member's")
    .option("--reason <text>", "why, for people to read later")
    .addHelpText(
      "after",
      "\nExamples:\n  umask 077; slipway token create --name ci --role deployer --app web --for 90d > ci.token\n" +
        "  slipway token create --name rack-7 --role enrol --region eu --max-uses 40 --for 1h",
    )
    .action(
      run(async (session, { for: ms, app, ...options }: Options) => {
        const { client, signal } = session;
        const { token, text } = await client.tokens.create(
          {
            ...options,
            expireTime: new Date(session.now() + ms),
            ...(app === undefined ? {} : { applications: app }),
          },
          { signal },
        );
        if (!session.json) await note(session, tokenText(token, lookOf(session)).trimEnd());
        await print(
          session,
          () => ({ token: messageJson(Token, token), text }),
          () => `${plain(text)}\n`,
        );
      }),
    );
};

function oneOf<T>(known: Readonly<Record<string, T>>): (text: string) => T {
  return (text) => {
    const value = Object.hasOwn(known, text) ? known[text] : undefined;
    if (value !== undefined) return value;
    throw new InvalidArgumentError(`It must be one of ${Object.keys(known).join(", ")}.`);
  };
}

function parseUses(text: string): number {
  if (/^\d{1,7}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError("It must be a number above 0.");
}

function parseList(text: string): string[] {
  return text.split(",").map((name) => name.trim());
}
