import type { Authenticator, NatsConnection } from "nats";
import type { Logger } from "pino";
import type { Clock } from "../context.js";
import { Soon } from "../soon.js";
import { AccountError, lookUpAccount, updateAccount, withSystem } from "./account-updates.js";
import type { IssuerKeys } from "./keys.js";
import {
  MAX_REVOCATIONS,
  mergeRevocations,
  planRevokedUsers,
  type AccountRevocations,
  type RevokedMember,
} from "./plan-revoked-users.js";

export interface RevokedUsersOptions {
  keys: IssuerKeys;
  /** Seed of the operator's key that signs accounts. */
  operatorKey: string;
  /** Of the servers' system account. */
  credentials: Authenticator;
  caFile: string | undefined;
  urls: readonly string[];
  /** Servers of regions that do not share the global ones. */
  regionUrls: Readonly<Record<string, readonly string[]>>;
  /** The last ones that were revoked, so many at most. */
  revokedMembers: (limit: number) => Promise<RevokedMember[]>;
  clock: Clock;
  log: Logger;
}

/** Has nats-servers refuse the users of revoked members, and close their connections. */
export class RevokedUsers {
  readonly #options: RevokedUsersOptions;
  readonly #soon: Soon;

  constructor(options: RevokedUsersOptions) {
    this.#options = options;
    this.#soon = new Soon(
      () => this.publish(),
      (error) => options.log.warn({ err: error }, "revoked members not shut out from NATS yet"),
    );
  }

  /** Does it in the background. If that fails, the next time does it. */
  publishSoon(): void {
    this.#soon.ask();
  }

  /**
   * Tells servers what they do not know yet; safe to call at any time by any coordinator. Answers how
   * many accounts were changed. A server that is away does not keep the others from being told.
   * @throws AggregateError of what went wrong
   */
  async publish(): Promise<number> {
    const { keys, revokedMembers, clock, urls, regionUrls } = this.#options;
    const members = await revokedMembers(MAX_REVOCATIONS);
    const wanted = planRevokedUsers(keys, members, new Date(clock.now()));
    const byServers = new Map<readonly string[], AccountRevocations[]>();
    for (const account of wanted) {
      const there = (account.region === undefined ? undefined : regionUrls[account.region]) ?? urls;
      byServers.set(there, [...(byServers.get(there) ?? []), account]);
    }
    const failures: unknown[] = [];
    let changed = 0;
    for (const [servers, accounts] of byServers) {
      try {
        changed += await this.#tell(servers, accounts, failures);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, describe(failures));
    return changed;
  }

  #tell(
    urls: readonly string[],
    accounts: readonly AccountRevocations[],
    failures: unknown[],
  ): Promise<number> {
    const { credentials, caFile } = this.#options;
    return withSystem({ urls, credentials, caFile }, async (connection) => {
      let changed = 0;
      for (const account of accounts) {
        try {
          if (await this.#update(connection, account)) changed += 1;
        } catch (error) {
          if (!(error instanceof AccountError)) throw error;
          failures.push(error);
        }
      }
      return changed;
    });
  }

  async #update(connection: NatsConnection, wanted: AccountRevocations): Promise<boolean> {
    const { operatorKey, log } = this.#options;
    const known = await lookUpAccount(connection, wanted.account, operatorKey);
    const revocations = mergeRevocations(known.claims.revocations ?? {}, wanted);
    if (revocations === undefined) return false;
    const claims = { ...known.claims, revocations };
    await updateAccount(connection, { ...known, claims }, operatorKey);
    const users = Object.keys(revocations).length;
    if (users === MAX_REVOCATIONS) log.error({ account: known.name, users }, "too many revoked");
    log.info({ account: known.name, users }, "revoked members shut out from NATS");
    return true;
  }
}

function describe(failures: readonly unknown[]): string {
  return failures
    .map((error) => (error instanceof Error ? error.message : String(error)))
    .join("; ");
}
