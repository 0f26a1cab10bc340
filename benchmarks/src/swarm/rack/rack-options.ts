import type { Encryption } from "@slipway/agent/swarm";
import type { BenchmarkOptions } from "../../main.js";

const MIB = 1024 * 1024;

export interface RackOptions {
  hosts: number;
  bitsPerSecond: number;
  sizeBytes: number;
  /** 0: nothing is spread before the start. */
  warmBytes: number;
  runs: number;
  encryption: Encryption;
  profile: string | undefined;
  dir: string | undefined;
  signal: AbortSignal;
}

/** Throws at what makes no sense. */
export function rackOptions(
  given: BenchmarkOptions,
  defaults: Record<"hosts" | "mbit" | "mib" | "runs", number>,
): RackOptions {
  const positive = (name: keyof typeof defaults | "warm"): number => {
    const number = Number(given[name] ?? (name === "warm" ? 0 : defaults[name]));
    if (!(number > 0)) throw new Error(`--${name} takes a positive number, not ${given[name]}`);
    return number;
  };
  const { encryption = "tls-psk", profile, dir, signal } = given;
  if (encryption !== "tls-psk" && encryption !== "none") {
    throw new Error(`--encryption is tls-psk or none, not ${encryption}`);
  }
  return {
    hosts: positive("hosts"),
    bitsPerSecond: positive("mbit") * 1e6,
    sizeBytes: positive("mib") * MIB,
    warmBytes: (given.warm === undefined ? 0 : positive("warm")) * MIB,
    runs: positive("runs"),
    encryption,
    profile,
    dir,
    signal,
  };
}
