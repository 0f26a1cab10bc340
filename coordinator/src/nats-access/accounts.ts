import {
  type Account,
  encodeAccount,
  encodeOperator,
  type Exports,
  type Imports,
  newScopedSigner,
  type SigningKey,
} from "@nats-io/jwt";
import { goalSubject, hostLogRequestSubject, hostStatusSubject } from "@slipway/proto";
import { bytes, publicKeyOf, type NatsKeys, type RegionScopes, type Scope } from "./keys.js";
import {
  coordinatorPermissions,
  goalReadSubject,
  hostPermissions,
  regionGlobalPermissions,
  regionPermissions,
  systemPermissions,
  type RolePermissions,
} from "./permissions.js";

/** By an account's name, when its users' keys were revoked: in seconds, for all that was signed till then. */
export type Revocations = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** An account as nats-server knows it. */
export interface SignedAccount {
  name: string;
  publicKey: string;
  jwt: string;
}

export const SYSTEM_ACCOUNT = "system";
export const GLOBAL_ACCOUNT = "global";
/** A region's agents, and what is kept in JetStream. */
export const agentsAccount = (region: string): string => `region-${region}`;
/**
 * A region's hosts. JetStream sends an answer wherever the question says, with the rights of the
 * account that it is in; so hosts are in one where nothing is kept, and ask across its border.
 */
export const hostsAccount = (region: string): string => `hosts-${region}`;

const ANSWER_WITHIN_NS = 10 * 1_000_000_000;
const UNLIMITED = -1;
/**
 * More than there are: a stream that several create at once counts several times until it is there.
 * Which ones they are is limited by the subjects that users may ask on.
 */
const STREAMS = 16;
const REGION_DISK_BYTES = 8 * 1024 ** 3;
/** More than any process here subscribes to at a time. */
const HOST_SUBSCRIPTIONS = 64;

/** Signs which keys sign accounts, and which account is the servers' own. */
export function signOperator({ offline, operatorSigning }: NatsKeys): Promise<string> {
  return encodeOperator("slipway", bytes(offline.operator), {
    signing_keys: [publicKeyOf(operatorSigning), ...offline.previousOperatorKeys],
    system_account: offline.system.account,
    // @ts-expect-error The library's type lacks it: only signing keys sign, so that the operator's
    // own key may stay offline.
    strict_signing_key_usage: true,
  });
}

/** Signs all accounts: the system's, the global one, and each region's two. */
export async function signAccounts(
  keys: NatsKeys,
  revocations: Revocations,
): Promise<SignedAccount[]> {
  const { system, coordinator } = keys.offline;
  const { global, regions } = keys.issuer;
  const sign = async (
    name: string,
    publicKey: string,
    account: Partial<Account>,
  ): Promise<SignedAccount> => {
    const claims = { ...account, revocations: { ...revocations[name] } };
    const signer = bytes(keys.operatorSigning);
    return { name, publicKey, jwt: await encodeAccount(name, publicKey, claims, { signer }) };
  };
  const signed = [
    await sign(SYSTEM_ACCOUNT, system.account, {
      limits: limits(),
      signing_keys: signingKeys("system", system, systemPermissions()),
    }),
    await sign(GLOBAL_ACCOUNT, global.account, {
      limits: limits({ streams: STREAMS, disk_storage: UNLIMITED }),
      signing_keys: [
        ...signingKeys("coordinator", coordinator, coordinatorPermissions()),
        ...signingKeys("region", global, regionGlobalPermissions()),
      ],
    }),
  ];
  for (const [region, { agents, hosts }] of Object.entries(regions)) {
    const accounts = regionAccounts(region, { agents, hosts });
    signed.push(await sign(agentsAccount(region), agents.account, accounts.agents));
    signed.push(await sign(hostsAccount(region), hosts.account, accounts.hosts));
  }
  return signed;
}

/** What crosses the border between a region's agents and its hosts. */
function regionAccounts(
  region: string,
  { agents, hosts }: RegionScopes,
): { agents: Partial<Account>; hosts: Partial<Account> } {
  const goals = { name: "goals", subject: goalSubject(region, "*"), type: "stream" } as const;
  const read = { name: "goal", subject: goalReadSubject(region), type: "service" } as const;
  const status = hostStatusSubject(region, "*");
  const said = { name: "status", subject: status, type: "stream" } as const;
  const logs = hostLogRequestSubject(region, "*");
  const ask = { name: "logs", subject: logs, type: "service" } as const;
  return {
    agents: {
      limits: limits({ streams: STREAMS, disk_storage: REGION_DISK_BYTES }),
      signing_keys: signingKeys("region", agents, regionPermissions(region)),
      exports: [goals, { ...read, response_type: "Singleton" }],
      imports: from(hosts, said, ask),
    },
    hosts: {
      limits: limits(),
      signing_keys: signingKeys("host", hosts, hostPermissions(region), HOST_SUBSCRIPTIONS),
      exports: [said, { ...ask, response_type: "Singleton" }],
      imports: from(agents, goals, read),
    },
  };
}

function from({ account }: Scope, ...given: Exports): Imports {
  return given.map(({ name, subject, type }) => ({ name, subject, type, account }));
}

/** JetStream is there if it may keep streams. */
function limits(
  jetStream: { streams: number; disk_storage: number } = { streams: 0, disk_storage: 0 },
): NonNullable<Account["limits"]> {
  return {
    conn: UNLIMITED,
    subs: UNLIMITED,
    data: UNLIMITED,
    payload: UNLIMITED,
    imports: UNLIMITED,
    exports: UNLIMITED,
    leaf: 0,
    wildcards: true,
    mem_storage: 0,
    consumer: jetStream.streams > 0 ? UNLIMITED : 0,
    ...jetStream,
  };
}

/** The scope's key and those before it, with what users may do whom they sign. */
function signingKeys(
  role: string,
  { signingKey, previous }: Scope,
  { publish, subscribe, answers }: RolePermissions,
  subs = UNLIMITED,
): SigningKey[] {
  return [publicKeyOf(signingKey), ...previous].map((key) => {
    const signer = newScopedSigner(key, role, {
      pub: { allow: publish, deny: [] },
      sub: { allow: subscribe, deny: [] },
      resp: { max: 1, ttl: ANSWER_WITHIN_NS },
      subs,
      allowed_connection_types: ["STANDARD"],
    });
    // To the server, limits of 0 would still be a permission to answer.
    if (!answers) delete signer.template.resp;
    return signer;
  });
}
