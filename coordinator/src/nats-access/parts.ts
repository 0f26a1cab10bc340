import type { Authenticator } from "nats";
import type { Knex } from "knex";
import type { Logger } from "pino";
import type { CoordinatorConfig } from "../config.js";
import type { Clock } from "../context.js";
import { revokedNatsMembers } from "../membership/member-store.js";
import { readCredentials } from "./credentials-file.js";
import { NatsKeysError, readIssuerKeys, readText } from "./key-files.js";
import { RevokedUsers } from "./revoked-users.js";

type AccessConfig = Pick<
  CoordinatorConfig,
  "natsUrls" | "natsCredentialsFile" | "natsCaFile" | "natsIssuerFile" | "natsRevocation"
>;

/** How coordinators come into the global NATS. @throws CredentialsError */
export async function readNatsServers({
  natsUrls: urls,
  natsCredentialsFile: file,
  natsCaFile: caFile,
}: AccessConfig): Promise<{
  urls: readonly string[];
  credentials: Authenticator | undefined;
  caFile: string | undefined;
}> {
  return {
    urls,
    credentials: file === undefined ? undefined : await readCredentials(file),
    caFile,
  };
}

/** Undefined if this coordinator is not told how. @throws NatsKeysError, CredentialsError */
export async function createRevokedUsers(
  { natsUrls: urls, natsCaFile: caFile, natsIssuerFile, natsRevocation }: AccessConfig,
  { db, clock, log }: { db: Knex; clock: Clock; log: Logger },
): Promise<RevokedUsers | undefined> {
  if (natsRevocation === undefined || natsIssuerFile === undefined) return undefined;
  const { systemCredentialsFile, operatorKeyFile, regionUrls } = natsRevocation;
  const operatorKey = (await readText(operatorKeyFile))?.trim();
  if (operatorKey === undefined || !/^SO[A-Z2-7]{56}$/.test(operatorKey)) {
    throw new NatsKeysError(`${operatorKeyFile} holds no key of a NATS operator`);
  }
  return new RevokedUsers({
    keys: await readIssuerKeys(natsIssuerFile),
    operatorKey,
    credentials: await readCredentials(systemCredentialsFile),
    caFile,
    urls,
    regionUrls,
    revokedMembers: (limit) => revokedNatsMembers(db, limit),
    clock,
    log,
  });
}
