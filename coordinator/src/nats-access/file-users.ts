import path from "node:path";
import { createUser, fmtCreds, fromSeed, type KeyPair } from "@nats-io/jwt";
import { agentsAccount, GLOBAL_ACCOUNT, SYSTEM_ACCOUNT } from "./accounts.js";
import { parseCredentials } from "./credentials.js";
import { signUser } from "./issue-user.js";
import { readText, writePrivate, type MadeUsers } from "./key-files.js";
import { bytes, type NatsKeys, type Scope } from "./keys.js";

/** A user whose credentials are in a file. */
interface FileUser {
  /** Of its file. */
  name: string;
  /** What renews it. */
  renewal: string;
  id: string;
  account: string;
  scope: Scope;
  tags: string[];
}

/**
 * Writes the users' credentials anew. A key stays while its file is there, unless it is to be
 * renewed; the key that another one takes the place of is revoked.
 */
export async function writeFileUsers(
  folder: string,
  keys: NatsKeys,
  before: MadeUsers,
  { renew, expireTime, now }: { renew: ReadonlySet<string>; expireTime: Date; now: Date },
): Promise<MadeUsers> {
  const made: MadeUsers = { users: { ...before.users }, revocations: { ...before.revocations } };
  for (const { name, renewal, id, account, scope, tags } of fileUsers(keys)) {
    const file = path.join(folder, `${name}.creds`);
    const pair = (renew.has(renewal) ? undefined : await keyIn(file)) ?? createUser();
    const natsPublicKey = pair.getPublicKey();
    const replaced = made.users[name];
    if (replaced !== undefined && replaced !== natsPublicKey) {
      const until = Math.floor(now.getTime() / 1_000);
      const revoked = { ...made.revocations[account], [replaced]: until };
      made.revocations = { ...made.revocations, [account]: revoked };
    }
    const jwt = await signUser(scope, { id, natsPublicKey, expireTime }, tags);
    await writePrivate(file, fmtCreds(jwt, pair));
    made.users[name] = natsPublicKey;
  }
  return made;
}

/** A region's agents' user of their region's NATS; also what renews both of their users. */
export const regionUser = (region: string): string => `region-${region}`;

function fileUsers({ offline, issuer }: NatsKeys): FileUser[] {
  const users = [
    single("coordinator", GLOBAL_ACCOUNT, offline.coordinator),
    single("system", SYSTEM_ACCOUNT, offline.system),
  ];
  for (const [region, { agents }] of Object.entries(issuer.regions)) {
    const name = regionUser(region);
    // Agents that have joined have users of their own; these are for those that have not.
    const user = { renewal: name, id: "agents", tags: [`region:${region}`] };
    users.push({ ...user, name, account: agentsAccount(region), scope: agents });
    const global = { account: GLOBAL_ACCOUNT, scope: issuer.global };
    users.push({ ...user, ...global, name: `${name}.global` });
  }
  return users;
}

function single(name: string, account: string, scope: Scope): FileUser {
  return { name, renewal: name, id: name, account, scope, tags: [] };
}

async function keyIn(file: string): Promise<KeyPair | undefined> {
  const text = await readText(file);
  return text === undefined ? undefined : fromSeed(bytes(parseCredentials(file, text).seed));
}
