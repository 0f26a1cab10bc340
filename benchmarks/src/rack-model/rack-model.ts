import type { BenchmarkOptions, Figures } from "../main.js";
import { quantile, round } from "../statistics.js";
import { type RackOptions, simulate } from "./rack.js";

/** What is uneven or goes wrong, by name; each with links of this rate. */
const scenarios = (mbit: number): Record<string, Partial<RackOptions>> => ({
  plain: {},
  "fast-seeder": { seederMbit: mbit * 10 },
  "two-seeders": { seeders: 2 },
  "slow-hosts": { slowShare: 0.01 },
  "slow-link": { slowShare: 0.01, slowFactor: 0.01 },
  "hosts-die": { dyingShare: 1 / 3 },
  "seeder-dies": { seederDiesAfter: 1.02 },
  "mute-seeder": { muteSeeder: true },
  "slow-giver": { oddGiver: "slow" },
  "mute-giver": { oddGiver: "mute" },
  "mixed-links": { mixed: true },
});

/**
 * The swarm's real policies on a model of a rack, on a virtual clock: what the policies alone make of
 * the links, without processes, disks and CPU. Ratios are to what the links allow with no overhead.
 */
export function rackModel(options: BenchmarkOptions): Promise<Figures> {
  const rack = {
    hosts: number(options.hosts, 24),
    mbit: number(options.mbit, 50),
    mib: number(options.mib, 64),
    chunkKib: number(options.chunk, 1_024),
  };
  const all = scenarios(rack.mbit);
  const figures: Figures = { ...rack };
  const names =
    options.faults === "all" ? Object.keys(all) : (options.faults ?? "plain").split(",");
  for (const name of names) {
    const scenario = all[name];
    if (scenario === undefined)
      throw new Error(`${name} is none of ${Object.keys(all).join(", ")}`);
    figures[name] = figuresOf({ ...rack, ...scenario });
  }
  return Promise.resolve(figures);
}

function number(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : Number(text);
}

function figuresOf(options: RackOptions): Figures {
  const startedAt = performance.now();
  const result = simulate(options);
  const ratio = (share: number): number =>
    round(quantile(result.healthy, share) / result.idealMs, 3);
  return {
    makespan_ratio: ratio(1),
    p50_ratio: ratio(0.5),
    p99_ratio: ratio(0.99),
    first_copy_ratio: round(result.firstCopyMs / result.idealMs, 3),
    seeder_copies: round(result.seederCopies),
    duplicates: round(result.duplicates),
    hedges: result.hedges,
    timeouts: result.timeouts,
    unfinished: result.unfinished,
    ...(result.slow.length === 0
      ? {}
      : { slow_own_ratio: round(quantile(result.slow, 1) / result.slowIdealMs, 3) }),
    model_s: round((performance.now() - startedAt) / 1_000),
  };
}
