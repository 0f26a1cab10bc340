import type { Knex } from "knex";
import { writeAudit, type Author } from "../audit/audit-log.js";
import { notFound, unauthenticated } from "../errors.js";
import type { RoleName } from "../membership/roles.js";
import type { Role } from "./identity.js";
import { hashSecret, makeToken, TOKEN_ID_PATTERN, tokenText } from "./token-text.js";

/** What a token lets its holder do. */
export interface TokenTerms {
  name: string;
  role: Role;
  applications: readonly string[];
  region: string;
  subject: string;
  /** Null but for enrolment, as the rest is the default. */
  memberRole: RoleName | null;
  /** 0: any number. */
  maxUses: number;
  allowRejoin: boolean;
  /** Null: never. */
  expireTime: Date | null;
}

/** A token as it is kept, but for its secret's hash. */
export interface StoredToken extends TokenTerms {
  id: string;
  uses: number;
  creator: string;
  createTime: Date;
  revokeTime: Date | null;
  lastUseTime: Date | null;
}

/** What is needed to judge who calls. */
export interface KnownToken extends StoredToken {
  secretHash: Buffer;
}

interface TokenRow {
  id: string;
  secret_hash: Buffer;
  name: string;
  role: Role;
  applications: string[];
  region: string;
  subject: string;
  member_role: RoleName | null;
  max_uses: number;
  uses: number;
  allow_rejoin: boolean;
  creator: string;
  create_time: Date;
  expire_time: Date | null;
  revoke_time: Date | null;
  last_use_time: Date | null;
}

/** Makes a token. Its text is kept nowhere. */
export async function createToken(
  db: Knex,
  terms: TokenTerms,
  by: Author,
): Promise<{ token: StoredToken; text: string }> {
  const made = makeToken();
  return db.transaction(async (trx) => {
    const [row] = await trx<TokenRow>("tokens")
      .insert({
        id: made.id,
        secret_hash: hashSecret(made.secret),
        name: terms.name,
        role: terms.role,
        applications: [...terms.applications],
        region: terms.region,
        subject: terms.subject,
        member_role: terms.memberRole,
        max_uses: terms.maxUses,
        allow_rejoin: terms.allowRejoin,
        expire_time: terms.expireTime,
        creator: by.actor,
      })
      .returning("*");
    if (row === undefined) throw new Error("a token was lost on its way to the database");
    const token = fromRow(row);
    await writeAudit(trx, { ...by, action: "token.create", message: describe(token) });
    return { token, text: tokenText(made) };
  });
}

/** Ends a token. Answers whether it had not been ended before. @throws DomainError NOT_FOUND */
export async function revokeToken(db: Knex, id: string, by: Author): Promise<boolean> {
  return db.transaction(async (trx) => {
    const row = await trx<TokenRow>("tokens").where({ id }).forUpdate().first();
    if (row === undefined) throw notFound("token", id);
    if (row.revoke_time !== null) return false;
    await trx("tokens")
      .where({ id })
      .update({ revoke_time: trx.raw("clock_timestamp()") });
    await writeAudit(trx, { ...by, action: "token.revoke", message: describe(fromRow(row)) });
    return true;
  });
}

/** The newest first. */
export async function listTokens(
  db: Knex,
  {
    before,
    limit,
    includeEnded,
  }: { before: { time: Date; id: string } | undefined; limit: number; includeEnded: boolean },
): Promise<StoredToken[]> {
  const query = db<TokenRow>("tokens")
    .orderBy([
      { column: "create_time", order: "desc" },
      { column: "id", order: "desc" },
    ])
    .limit(limit);
  if (before !== undefined) {
    void query.whereRaw("(create_time, id) < (?, ?)", [before.time, before.id]);
  }
  if (!includeEnded) void query.modify(onlyLive);
  return (await query).map(fromRow);
}

/** Those of the ids that there are, with what proves them. */
export async function readTokens(
  db: Knex,
  ids: readonly string[],
): Promise<Map<string, KnownToken>> {
  if (ids.length === 0) return new Map();
  const rows: TokenRow[] = await db<TokenRow>("tokens").whereRaw("id = any(?)", [[...ids]]);
  return new Map(rows.map((row) => [row.id, { ...fromRow(row), secretHash: row.secret_hash }]));
}

/** Remembers when tokens were used last; never puts a time back. */
export async function touchTokens(db: Knex, uses: ReadonlyMap<string, number>): Promise<void> {
  if (uses.size === 0) return;
  await db.raw(
    `update tokens t set last_use_time = greatest(coalesce(t.last_use_time, u.time), u.time)
    from unnest(?::text[], ?::timestamptz[]) u(id, time) where t.id = u.id`,
    [[...uses.keys()], [...uses.values()].map((time) => new Date(time))],
  );
}

/**
 * Counts one use of an enrolment token, in the transaction of what it is used for.
 * @throws DomainError UNAUTHENTICATED if it has none left, or ended meanwhile.
 */
export async function useToken(trx: Knex.Transaction, id: string): Promise<void> {
  const updated = await trx<TokenRow>("tokens")
    .where({ id })
    .modify(onlyLive)
    .whereRaw("(max_uses = 0 or uses < max_uses)")
    .increment("uses", 1);
  if (updated === 0) {
    throw unauthenticated("TOKEN_USED_UP", "this token has been used as often as it may be");
  }
}

/** Those that have not ended, by the database's clock. */
function onlyLive(query: Knex.QueryBuilder): void {
  void query
    .whereNull("revoke_time")
    .whereRaw("(expire_time is null or expire_time > clock_timestamp())");
}

/** Whether it is a token's id: nothing else is looked up. */
export const isTokenId = (id: string): boolean => TOKEN_ID_PATTERN.test(id);

function describe({ id, name, role, applications, region, subject }: StoredToken): string {
  const limits = [...applications, region, subject].filter((limit) => limit !== "");
  return `token ${id} of ${name}, role ${role}${limits.length > 0 ? `, for ${limits.join(", ")}` : ""}`;
}

function fromRow(row: TokenRow): StoredToken {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    applications: row.applications,
    region: row.region,
    subject: row.subject,
    memberRole: row.member_role,
    maxUses: row.max_uses,
    uses: row.uses,
    allowRejoin: row.allow_rejoin,
    creator: row.creator,
    createTime: row.create_time,
    expireTime: row.expire_time,
    revokeTime: row.revoke_time,
    lastUseTime: row.last_use_time,
  };
}
