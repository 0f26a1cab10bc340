/** How much happens, on what fleet. Times in milliseconds. */
export interface Scale {
  seed: number;
  regions: readonly string[];
  hostsPerRegion: number;
  builders: number;
  builds: number;
  deployments: number;
  /** Over which builds and deployments are spread. */
  durationMs: number;
  faults: number;
  maxDownMs: number;
  /** So long is every third agent of a host or region down; none: no such faults. */
  longDownMs?: number;
  /** How long processes hang, and how many at most at once. */
  hangs: { minMs: number; maxMs: number; atOnce: number };
  /** What operators do and take back, beside deployments. */
  operations: number;
  /** How long it may take after the last fault until all is quiet. */
  quietTimeoutMs: number;
}

/** Between two faults of a soak, in the mean. */
const SOAK_GAP_MS = 3_000;
const SOAK_OPERATION_GAP_MS = 15_000;

/** A minute on a busy machine. */
export function testScale(seed: number): Scale {
  return {
    seed,
    regions: ["eu", "us"],
    hostsPerRegion: 2,
    builders: 2,
    builds: 14,
    deployments: 10,
    durationMs: 14_000,
    // Each sort once, and one more.
    faults: 16,
    maxDownMs: 1_000,
    hangs: { minMs: 1_000, maxMs: 4_000, atOnce: 2 },
    operations: 6,
    quietTimeoutMs: 90_000,
  };
}

/** As long as somebody wants to wait. */
export function soakScale(options: {
  seed: number;
  minutes: number;
  builds: number;
  deployments: number;
}): Scale {
  const { minutes, ...given } = options;
  const durationMs = minutes * 60_000;
  return {
    ...given,
    regions: ["eu", "us"],
    hostsPerRegion: 3,
    builders: 3,
    durationMs,
    faults: Math.max(1, Math.floor(durationMs / SOAK_GAP_MS)),
    maxDownMs: 5_000,
    // Longer than hosts (30 s) and regions (15 s) may be silent.
    longDownMs: 40_000,
    hangs: { minMs: 5_000, maxMs: 40_000, atOnce: 2 },
    operations: Math.max(5, Math.floor(durationMs / SOAK_OPERATION_GAP_MS)),
    quietTimeoutMs: 300_000,
  };
}
