import type { Command, Option } from "commander";
import { parseList } from "../config.js";
import { may, parseText } from "./option.js";

/** Which keys an agent is told to go by. */
export interface TrustOptions {
  rootPublicKey: string[];
  membershipPublicKey?: string;
  goalPublicKey: string[];
}

export function rootPublicKey(): Option {
  const what = "SPKI PEM, with commas between: sign key sets, which say what other keys hold";
  return may("--root-public-key <files>", what, parseList).default([]);
}

export function membershipPublicKey(): Option {
  const what = "SPKI PEM; with a root key, until there is a key set";
  return may("--membership-public-key <file>", what, parseText);
}

export function goalPublicKey(what: string): Option {
  return may("--goal-public-key <files>", what, parseList).default([]);
}

/** Without a root key nobody else can say which keys to go by. */
export function requireTrust(
  command: Command,
  options: TrustOptions,
  needed: readonly ("membershipPublicKey" | "goalPublicKey")[],
): void {
  if (options.rootPublicKey.length > 0) return;
  const missing = needed.find((name) => (options[name] ?? []).length === 0);
  if (missing === undefined) return;
  const flag = missing === "goalPublicKey" ? "--goal-public-key" : "--membership-public-key";
  command.error(`error: ${flag} is needed, or a --root-public-key`);
}
