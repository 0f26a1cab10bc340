/** What fleet to start. */
export interface FleetOptions {
  /** Names of its regions; at least one. Default eu, us and ap. */
  regions?: readonly string[];
  /** Default 4. */
  hostsPerRegion?: number;
  /** Default 2. */
  builders?: number;
  /** Default 1. */
  coordinators?: number;
  /** Default 1. */
  agentsPerRegion?: number;
  /** A nats-server for each region, beside the global one. Default false: all use that. */
  natsPerRegion?: boolean;
  /**
   * Where everything is kept: made if missing, and left behind. Default: a temporary directory that
   * is removed at stop, or after this process in any case.
   */
  dir?: string;
  /** Leave the temporary directory behind, to look at its logs. Default false. */
  keep?: boolean;
  /** How long starting may take, in milliseconds. Default 60,000. */
  startTimeoutMs?: number;
  /** Gives up starting, and every wait for the fleet. */
  signal?: AbortSignal;
  /** Told what is being started, for people to read. */
  onProgress?: (message: string) => void;
}

/** Options with every default filled in. */
export interface ResolvedFleetOptions {
  regions: readonly string[];
  hostsPerRegion: number;
  builders: number;
  coordinators: number;
  agentsPerRegion: number;
  natsPerRegion: boolean;
  dir: string | undefined;
  keep: boolean;
  startTimeoutMs: number;
  signal: AbortSignal;
  onProgress: (message: string) => void;
}

/** Fills in the defaults. @throws TypeError for a fleet that cannot be. */
export function resolveFleetOptions(options: FleetOptions = {}): ResolvedFleetOptions {
  const { regions = ["eu", "us", "ap"], hostsPerRegion = 4, builders = 2 } = options;
  const { coordinators = 1, agentsPerRegion = 1, natsPerRegion = false } = options;
  if (regions.length === 0 || new Set(regions).size !== regions.length) {
    throw new TypeError("a fleet has at least one region, and each one once");
  }
  for (const [name, count] of Object.entries({ hostsPerRegion, builders })) {
    if (!Number.isInteger(count) || count < 0 || count > 1_000) {
      throw new TypeError(`${name} must be a whole number from 0 to 1000, not ${count}`);
    }
  }
  for (const [name, count] of Object.entries({ coordinators, agentsPerRegion })) {
    if (!Number.isInteger(count) || count < 1 || count > 10) {
      throw new TypeError(`${name} must be a whole number from 1 to 10, not ${count}`);
    }
  }
  return {
    regions,
    hostsPerRegion,
    builders,
    coordinators,
    agentsPerRegion,
    natsPerRegion,
    dir: options.dir,
    keep: options.keep ?? options.dir !== undefined,
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
    signal: options.signal ?? new AbortController().signal,
    onProgress: options.onProgress ?? (() => undefined),
  };
}
