import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { NAME_PATTERN } from "@slipway/proto";
import {
  agentsAccount,
  GLOBAL_ACCOUNT,
  hostsAccount,
  signAccounts,
  signOperator,
  SYSTEM_ACCOUNT,
} from "./accounts.js";
import { regionUser, writeFileUsers } from "./file-users.js";
import { readKeys, readMadeUsers, writeKeys, writeMadeUsers } from "./key-files.js";
import {
  renewIssuer,
  renewOperatorSigning,
  withoutPrevious,
  withRegions,
  type NatsKeys,
} from "./keys.js";
import { serverConfig } from "./server-config.js";

export interface NatsConfigOptions {
  /** Folder that is made, or brought up to date: keys and users that are there stay. */
  out: string;
  /** Regions that the fleet has; those that the folder knows already stay, named or not. */
  regions: readonly string[];
  /** Those that have a nats-server of their own; the others share the global one. Default none. */
  ownServers?: readonly string[] | undefined;
  /** Where servers listen: HOST:PORT. Default 0.0.0.0:4222. */
  listen?: string | undefined;
  /** Where each server has a folder of its name for what it keeps. Default /var/lib/nats. */
  dataDir?: string | undefined;
  /** PEM files, where the servers find them. Default: no TLS. */
  tls?: { certFile: string; keyFile: string } | undefined;
  /** How long users in files last, in days. Default 365. */
  days?: number | undefined;
  /**
   * What gets a new key. `coordinator`, `system`, `region-NAME`: the users in these files, the old
   * ones being revoked. `issuer`, `operator`: the keys that sign users and accounts, the old ones
   * being good until forgetPrevious. Default nothing.
   */
  renew?: readonly string[] | undefined;
  /** Signing keys from before a renewal sign no more. Default false. */
  forgetPrevious?: boolean | undefined;
}

const DAY_MS = 86_400_000;
const GLOBAL_SERVER = "nats-global";
const accountsOf = (region: string): string[] => [agentsAccount(region), hostsAccount(region)];
const regionServer = (region: string): string => `nats-region-${region}`;

/**
 * Writes what a fleet's NATS needs: keys, users' credentials, and a configuration for each server.
 * Again on the same folder it adds regions, lets users last anew, and renews what it is told to.
 * @throws NatsKeysError, CredentialsError for what is in the folder; TypeError for a wrong option
 */
export async function writeNatsConfig(options: NatsConfigOptions): Promise<void> {
  const { out, regions, ownServers = [], days = 365, forgetPrevious = false } = options;
  for (const region of regions) {
    if (!NAME_PATTERN.test(region)) throw new TypeError(`not a region's name: ${region}`);
  }
  await mkdir(out, { recursive: true, mode: 0o700 });
  let keys = withRegions(await readKeys(out), regions);
  const known = Object.keys(keys.issuer.regions);
  for (const region of ownServers) {
    if (!known.includes(region)) throw new TypeError(`not one of the regions: ${region}`);
  }
  const renew = renewals(options.renew ?? [], known);
  if (forgetPrevious) keys = withoutPrevious(keys);
  if (renew.has("issuer")) keys = renewIssuer(keys);
  if (renew.has("operator")) keys = renewOperatorSigning(keys);
  // Before anything that they sign: what is signed by keys that are lost is of no use.
  await writeKeys(out, keys);
  const now = new Date();
  const expireTime = new Date(now.getTime() + days * DAY_MS);
  const made = await writeFileUsers(out, keys, await readMadeUsers(out), {
    renew,
    expireTime,
    now,
  });
  await writeMadeUsers(out, made);
  await writeServers(keys, made.revocations, options);
}

/** A configuration for the global server, and one for each that a region has of its own. */
async function writeServers(
  keys: NatsKeys,
  revocations: Parameters<typeof signAccounts>[1],
  {
    out,
    ownServers = [],
    listen = "0.0.0.0:4222",
    dataDir = "/var/lib/nats",
    tls,
  }: NatsConfigOptions,
): Promise<void> {
  const operatorJwt = await signOperator(keys);
  const accounts = await signAccounts(keys, revocations);
  const write = async (name: string, names: readonly string[]): Promise<void> => {
    const here = accounts.filter((account) => names.includes(account.name));
    const text = serverConfig(operatorJwt, keys.offline.system.account, here, {
      name,
      listen,
      dataDir: path.join(dataDir, name),
      tls,
    });
    await writeFile(path.join(out, `${name}.conf`), text);
  };
  const sharing = Object.keys(keys.issuer.regions).filter((region) => !ownServers.includes(region));
  await write(GLOBAL_SERVER, [SYSTEM_ACCOUNT, GLOBAL_ACCOUNT, ...sharing.flatMap(accountsOf)]);
  for (const region of ownServers) {
    await write(regionServer(region), [SYSTEM_ACCOUNT, ...accountsOf(region)]);
  }
}

/** The users and keys to renew. @throws TypeError for what is neither */
function renewals(names: readonly string[], regions: readonly string[]): Set<string> {
  const users = regions.map(regionUser);
  const all = ["coordinator", "system", "issuer", "operator", ...users];
  const wrong = names.find((name) => !all.includes(name));
  if (wrong !== undefined) throw new TypeError(`not among ${all.join(", ")}: ${wrong}`);
  return new Set(names);
}
