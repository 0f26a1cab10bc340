import type { KeyObject } from "node:crypto";
import type { Logger } from "../log.js";
import { readPublicKey } from "../swarm/identity.js";
import { KeptKeySet } from "./kept-key-set.js";
import { TrustedKeys } from "./trusted-keys.js";

/** The command line's word for which keys to go by; SPKI PEM files. */
export interface TrustConfig {
  dataDir: string;
  /** Sign key sets. None: what the other files name holds for good. */
  rootPublicKeyFiles?: readonly string[] | undefined;
  goalPublicKeyFiles: readonly string[];
  membershipPublicKeyFile?: string | undefined;
}

/** Whom an agent trusts. */
export interface Trust {
  readonly keys: TrustedKeys;
  /** Undefined without a root key. */
  readonly keySet: KeptKeySet | undefined;
}

/**
 * Reads the keys that the command line names, and the key set that an earlier agent kept.
 * @throws IdentityError for what is no key, and errors of files.
 */
export async function openTrust(config: TrustConfig, log: Logger): Promise<Trust> {
  const { dataDir, membershipPublicKeyFile: membershipFile } = config;
  const [rootKeys, goalKeys, membershipKeys] = await Promise.all([
    readKeys(config.rootPublicKeyFiles ?? []),
    readKeys(config.goalPublicKeyFiles),
    readKeys(membershipFile === undefined ? [] : [membershipFile]),
  ]);
  const keys = new TrustedKeys({ first: { goalKeys, membershipKeys }, rootKeys });
  if (rootKeys.length === 0) return { keys, keySet: undefined };
  const keySet = new KeptKeySet({ dataDir, trust: keys, rootKeys, log });
  await keySet.load();
  const bare = keys.version === 0 && goalKeys.length + membershipKeys.length === 0;
  if (bare) log.warn("no key is trusted until a key set comes");
  return { keys, keySet };
}

function readKeys(files: readonly string[]): Promise<KeyObject[]> {
  return Promise.all(files.map(readPublicKey));
}
