import { Role as MemberRole } from "@slipway/proto";
import type { Knex } from "knex";
import { pino } from "pino";
import { openDatabase } from "../db/connection.js";
import { migrate } from "../db/migrate.js";
import { migrations } from "../db/migrations/index.js";
import { withOption } from "../db/refused.js";
import { createToken } from "./token-store.js";
import { checkTerms, type AskedTerms } from "./token-terms.js";

/** What a new token is to be: all but these is none, or any. */
export type IssueTerms = Pick<AskedTerms, "name" | "role" | "expireTime"> & Partial<AskedTerms>;

/**
 * Makes a token on a coordinator's database, as before anybody has one. Answers its id and its text,
 * which is kept nowhere.
 * @throws DomainError INVALID_ARGUMENT
 */
export async function issueToken(
  databaseUrl: string,
  asked: IssueTerms,
  actor: string,
): Promise<{ id: string; text: string }> {
  const nothing = {
    applications: [],
    region: "",
    subject: "",
    memberRole: undefined,
    maxUses: 0,
    allowRejoin: false,
  };
  const terms = checkTerms({ ...nothing, ...asked }, Date.now(), MemberRole.HOST);
  return onDatabase(databaseUrl, async (db) => {
    const { token, text } = await createToken(db, terms, { actor, reason: "" });
    return { id: token.id, text };
  });
}

/** Does something on the main database, migrated, that needs no running coordinator. */
export async function onDatabase<T>(url: string, work: (db: Knex) => Promise<T>): Promise<T> {
  const log = pino({ level: "silent" });
  await withOption("--database-url", () => migrate(url, migrations, { timeoutMs: 30_000, log }));
  const db = openDatabase({
    url,
    poolSize: 1,
    statementTimeoutMs: 15_000,
    applicationName: "slipway token",
  });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}
