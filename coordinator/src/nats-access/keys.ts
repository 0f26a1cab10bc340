import { createAccount, createOperator, fromSeed } from "@nats-io/jwt";

/** A signing key of an account, which can make users of one role and no others. */
export interface Scope {
  /** The account's public key. */
  account: string;
  /** Seed of the key that signs users. */
  signingKey: string;
  /** Public keys of the ones before it, of which users are still good. */
  previous: string[];
}

/** A region's scopes. */
export interface RegionScopes {
  agents: Scope;
  hosts: Scope;
}

/** What coordinators need to make users of members. */
export interface IssuerKeys {
  /** Region agents, on the global NATS. */
  global: Scope;
  regions: Record<string, RegionScopes>;
}

/** What only whoever runs `nats-config` needs. */
export interface OfflineKeys {
  /** Seed of the operator: signs which keys sign accounts. */
  operator: string;
  /** Public keys that signed accounts before the present one. */
  previousOperatorKeys: string[];
  system: Scope;
  coordinator: Scope;
}

/** All of a fleet's NATS keys. */
export interface NatsKeys {
  offline: OfflineKeys;
  /** Seed of the operator's key that signs accounts. */
  operatorSigning: string;
  issuer: IssuerKeys;
}

/** Keys of a fleet without regions. */
export function createKeys(): NatsKeys {
  const global = createAccount().getPublicKey();
  return {
    offline: {
      operator: seedOf(createOperator()),
      previousOperatorKeys: [],
      system: createScope(),
      coordinator: createScope(global),
    },
    operatorSigning: seedOf(createOperator()),
    issuer: { global: createScope(global), regions: {} },
  };
}

/** Gives every region keys that has none; answers all keys. */
export function withRegions(keys: NatsKeys, regions: readonly string[]): NatsKeys {
  const all = { ...keys.issuer.regions };
  for (const region of regions) all[region] ??= { agents: createScope(), hosts: createScope() };
  return { ...keys, issuer: { ...keys.issuer, regions: all } };
}

/** Other keys for coordinators to make users with; what the present ones signed stays good. */
export function renewIssuer(keys: NatsKeys): NatsKeys {
  return mapIssuer(keys, ({ account, signingKey, previous }) => ({
    ...createScope(account),
    previous: [publicKeyOf(signingKey), ...previous],
  }));
}

/** Another key to sign accounts with; what the present one signed stays good. */
export function renewOperatorSigning({ offline, operatorSigning, issuer }: NatsKeys): NatsKeys {
  const previousOperatorKeys = [publicKeyOf(operatorSigning), ...offline.previousOperatorKeys];
  return {
    offline: { ...offline, previousOperatorKeys },
    operatorSigning: seedOf(createOperator()),
    issuer,
  };
}

/** The present keys only: what those before them signed is good no more. */
export function withoutPrevious(keys: NatsKeys): NatsKeys {
  const present = mapIssuer(keys, (scope) => ({ ...scope, previous: [] }));
  return { ...present, offline: { ...keys.offline, previousOperatorKeys: [] } };
}

function mapIssuer(keys: NatsKeys, map: (scope: Scope) => Scope): NatsKeys {
  const { global, regions } = keys.issuer;
  const mapped = Object.entries(regions).map(
    ([region, { agents, hosts }]) => [region, { agents: map(agents), hosts: map(hosts) }] as const,
  );
  return { ...keys, issuer: { global: map(global), regions: Object.fromEntries(mapped) } };
}

export const publicKeyOf = (seed: string): string => fromSeed(bytes(seed)).getPublicKey();

const seedOf = (pair: { getSeed(): Uint8Array }): string =>
  new TextDecoder().decode(pair.getSeed());

/** What the library takes for a key that signs. */
export const bytes = (seed: string): Uint8Array => new TextEncoder().encode(seed);

// An account's own key signs nothing here, so nobody keeps it.
function createScope(account: string = createAccount().getPublicKey()): Scope {
  return { account, signingKey: seedOf(createAccount()), previous: [] };
}
