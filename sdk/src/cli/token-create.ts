import { MEMBER_ROLES, type Role, Token, TOKEN_ROLES, type TokenRole } from "@slipway/proto";
import { writeSecret } from "@slipway/proto/files";
import { InvalidArgumentError, Option } from "commander";
import { SlipwayError } from "../errors.js";
import type { NewToken } from "../tokens.js";
import { UsageError } from "./exit-code.js";
import { messageJson } from "./json.js";
import { tokenText } from "./render/tokens.js";
import type { AddCommand } from "./run.js";
import { lookOf, note, print } from "./session.js";
import { jsonText, plain } from "./text.js";
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
  out?: string;
}

const EVERYWHERE = "without --region the token is good for every region: limit it to one";
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
    .option("--out <file>", "write its text there, for its owner only, and print nothing of it")
    .addHelpText(
      "after",
      "\nExamples:\n  slipway token create --name ci --role deployer --app web --for 90d --out ci.token\n" +
        "  slipway token create --name rack-7 --role enrol --region eu --max-uses 40 --for 1h",
    )
    .action(
      run(async (session, { for: ms, app, out, ...options }: Options) => {
        const { client, signal } = session;
        const create = async () =>
          client.tokens.create(
            {
              ...options,
              expireTime: new Date(session.now() + ms),
              ...(app === undefined ? {} : { applications: app }),
            },
            { signal },
          );
        if (options.role === TOKEN_ROLES.region && (options.region ?? "") === "") {
          await note(
            session,
            session.json ? jsonText({ warning: EVERYWHERE }) : `warning: ${EVERYWHERE}`,
          );
        }
        const { token, text } = out === undefined ? await create() : await createInto(out, create);
        if (!session.json) await note(session, tokenText(token, lookOf(session)).trimEnd());
        const shown = out === undefined ? { text } : { file: out };
        await print(
          session,
          () => ({ token: messageJson(Token, token), ...shown }),
          () => (out === undefined ? `${plain(text)}\n` : `its text is in ${plain(out)}\n`),
        );
      }),
    );
};

/** Makes the token once there is a file for it. @throws UsageError if there can be none. */
async function createInto(file: string, create: () => Promise<NewToken>): Promise<NewToken> {
  let created: NewToken | undefined;
  try {
    await writeSecret(file, async () => {
      created = await create();
      return `${created.text}\n`;
    });
  } catch (error) {
    // What the coordinator says is told as ever.
    if (error instanceof SlipwayError) throw error;
    throw new UsageError((error as Error).message);
  }
  if (created === undefined) throw new UsageError(`${file} was not written`);
  return created;
}

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
