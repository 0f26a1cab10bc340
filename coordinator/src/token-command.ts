import { userInfo } from "node:os";
import process from "node:process";
import { MEMBER_ROLES, type MemberRoleName, TOKEN_ROLES } from "@slipway/proto";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { writeSecret } from "@slipway/proto/files";
import type { Author } from "./audit/audit-log.js";
import type { Role } from "./auth/identity.js";
import { issueToken, onDatabase } from "./auth/issue-token.js";
import { isTokenId, listTokens, revokeToken } from "./auth/token-store.js";
import { checkDatabaseUrl } from "./config.js";

const HOUR_MS = 3_600_000;
const PAGE = 1_000;

interface CreateOptions {
  databaseUrl: string;
  name: string;
  role: Role;
  app: string[];
  region: string;
  subject: string;
  memberRole?: MemberRoleName;
  maxUses: number;
  allowRejoin?: true;
  validHours: number;
  expiry: boolean;
  out?: string;
}

/** `slipway-coordinator token`: on the database, for a fleet's first token and when all are lost. */
export function tokenCommand(): Command {
  const group = new Command("token").description("Makes, lists and ends tokens on the database.");
  group.addCommand(create());
  group.addCommand(list());
  group.addCommand(revoke());
  return group;
}

const database = (): Option =>
  new Option("--database-url <url>", "Postgres, main database")
    .env("SLIPWAY_DATABASE_URL")
    .argParser((url) => {
      try {
        checkDatabaseUrl("It", url);
        return url;
      } catch (error) {
        throw new InvalidArgumentError(`${(error as Error).message}.`);
      }
    })
    .makeOptionMandatory();

function create(): Command {
  return new Command("create")
    .description("Makes a token and prints its text, which is kept nowhere.")
    .addOption(database())
    .requiredOption("--name <name>", "who acts with it: the actor that the audit shows")
    .addOption(new Option("--role <role>").choices(Object.keys(TOKEN_ROLES)).makeOptionMandatory())
    .addOption(
      new Option("--app <names>", "limit a viewer, deployer or admin to these, with commas between")
        .argParser((text) => text.split(",").map((name) => name.trim()))
        .default([], "all"),
    )
    .option("--region <region>", "limit a region's or enrolment token to this one", "")
    .option("--subject <id>", "the only builder or member that may use it", "")
    .addOption(
      new Option("--member-role <role>", "what may join with an enrolment token").choices(
        Object.keys(MEMBER_ROLES),
      ),
    )
    .option("--max-uses <number>", "members that may join with it; 0: any number", whole, 0)
    .option("--allow-rejoin", "another key may take the place of a member's")
    .option("--valid-hours <number>", "until it expires", whole, 24 * 30)
    .option("--no-expiry", "never expires: for an admin's token that is locked away, and no other")
    .option("--out <file>", "write its text there, for its owner only, and print nothing")
    .action(async (options: CreateOptions) => {
      if (!options.expiry && options.role !== "admin") {
        throw new CommanderError(2, "slipway.usage", "--no-expiry is only for role admin");
      }
      if (options.role === "region" && options.region === "") {
        const everywhere = "without --region the token is good for every region: limit it to one";
        process.stderr.write(`warning: ${everywhere}\n`);
      }
      const now = Date.now();
      const expireTime = options.expiry ? new Date(now + options.validHours * HOUR_MS) : undefined;
      const { memberRole, app: applications, allowRejoin } = options;
      const terms = {
        ...options,
        applications,
        memberRole: memberRole && MEMBER_ROLES[memberRole],
        allowRejoin: allowRejoin === true,
        expireTime,
      };
      const make = () => issueToken(options.databaseUrl, terms, us().actor);
      if (options.out === undefined) process.stdout.write(`${(await make()).text}\n`);
      else await writeSecret(options.out, async () => `${(await make()).text}\n`);
    });
}

function list(): Command {
  return new Command("list")
    .description("Prints every token but its secret, the newest first: one JSON object a line.")
    .addOption(database())
    .option("--all", "those that were revoked or have expired as well")
    .action(async ({ databaseUrl, all }: { databaseUrl: string; all?: true }) => {
      await onDatabase(databaseUrl, async (db) => {
        let before: { time: Date; id: string } | undefined;
        while (true) {
          const page = await listTokens(db, { before, limit: PAGE, includeEnded: all === true });
          for (const token of page) process.stdout.write(`${JSON.stringify(token)}\n`);
          const last = page.at(-1);
          if (last === undefined || page.length < PAGE) return;
          before = { time: last.createTime, id: last.id };
        }
      });
    });
}

function revoke(): Command {
  return new Command("revoke")
    .description("Ends a token for good. Coordinators that run know of it within 5 s.")
    .addOption(database())
    .argument("<id>", "the token's id, as list shows it", (id) => {
      if (!isTokenId(id)) throw new InvalidArgumentError("It must be 24 hexadecimal digits.");
      return id;
    })
    .option("--reason <text>", "why, for people to read later", "")
    .action(async (id: string, { databaseUrl, reason }) => {
      await onDatabase(databaseUrl, (db) => revokeToken(db, id, { ...us(), reason }));
    });
}

/** Whoever can write to the database is believed who they are on this machine. */
const us = (): Author => ({ actor: `${userInfo().username} (on the database)`, reason: "" });

function whole(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new InvalidArgumentError("It must be a whole number.");
}
