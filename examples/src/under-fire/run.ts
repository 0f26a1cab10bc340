import { setMaxListeners } from "node:events";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type LocalFleet, startLocalFleet } from "../local-fleet/index.js";
import { Interrupted } from "../local-fleet/interruption.js";
import { applicationSpecs } from "./applications.js";
import { closeAll } from "./closing.js";
import type { Facts } from "./facts.js";
import { type FaultKind, planFaults } from "./fault-plan.js";
import { fire } from "./fire.js";
import { HostWatch } from "./host-watch.js";
import type { Verdict } from "./invariants.js";
import { judge, type Scene } from "./judge.js";
import { openLedger } from "./ledger.js";
import { seededRandom } from "./random.js";
import { createRepository } from "./repository.js";
import type { Scale } from "./scale.js";
import { targetsOf } from "./targets.js";
import { planTraffic, type TrafficPlan } from "./traffic-plan.js";
import { Traffic } from "./traffic.js";
import { Watchers } from "./watchers.js";

export interface RunOptions {
  /** Gives up. */
  signal: AbortSignal;
  /** Told what goes on, for people to read. */
  onLine: (line: string) => void;
}

/** What came of a run. */
export interface Report {
  verdicts: Verdict[];
  facts: Facts;
  /** How many faults of each kind there were. */
  faults: ReadonlyMap<FaultKind, number>;
  /** Where every process's log was kept, if an invariant did not hold. */
  logs: string | undefined;
}

const PROGRESS_EVERY_MS = 5_000;
/** For all that is not the fire itself: start, closing, stop. */
const FRAME_MS = 180_000;

/**
 * Starts a fleet, has it build and deploy while its processes and servers are killed, waits for quiet
 * and judges. The fleet's directory is kept if something is wrong.
 * @throws FleetError if a process ends that nobody killed; the signal's reason.
 */
export async function runUnderFire(scale: Scale, { signal, onLine }: RunOptions): Promise<Report> {
  const random = seededRandom(scale.seed);
  const applications = [...applicationSpecs("", scale.regions).keys()];
  const plan = planTraffic(random, { ...scale, applications });
  const fleet = await startLocalFleet({
    regions: scale.regions,
    hostsPerRegion: scale.hostsPerRegion,
    builders: scale.builders,
    coordinators: 2,
    agentsPerRegion: 2,
    natsPerRegion: true,
    startTimeoutMs: 120_000,
    signal,
  });
  try {
    onLine(`the fleet is up in ${fleet.dir}`);
    const report = await underFire(fleet, scale, plan, { signal, onLine });
    if (holds(report.verdicts)) return report;
    fleet.keep();
    return { ...report, logs: path.join(fleet.dir, "logs") };
  } catch (error) {
    if (!(signal.reason instanceof Interrupted)) {
      fleet.keep();
      onLine(`logs: ${path.join(fleet.dir, "logs")}`);
    }
    throw error;
  } finally {
    await fleet.stop();
  }
}

async function underFire(
  fleet: LocalFleet,
  scale: Scale,
  plan: TrafficPlan,
  { signal: stopped, onLine }: RunOptions,
): Promise<Report> {
  const limit = AbortSignal.timeout(scale.durationMs + 4 * scale.quietTimeoutMs + FRAME_MS);
  const signal = listened(AbortSignal.any([stopped, fleet.broken, limit]));
  const repository = path.join(fleet.dir, "repository");
  const commits = await createRepository(repository, plan.builds);
  await openLedger(fleet.postgres.url("slipway"));
  const specs = applicationSpecs(repository, fleet.regions);
  for (const [name, spec] of specs) await fleet.client.applications.apply({ name, spec });
  const applications = [...specs.keys()];
  const watchers = new Watchers(fleet.client, signal);
  const hostWatch = new HostWatch(fleet, applications);
  const random = seededRandom(scale.seed + 1);
  const traffic = new Traffic({ client: fleet.client, plan, commits, watchers, random });
  const { quietTimeoutMs } = scale;
  const scene: Scene = {
    fleet,
    applications,
    traffic,
    watchers,
    hostWatch,
    quietTimeoutMs,
    signal,
  };
  try {
    const faults = await burn(scene, scale, plan, onLine);
    onLine("the fire is out; waiting for quiet");
    const afterFire = await judge(scene);
    if (!holds(afterFire.verdicts)) return { ...afterFire, faults, logs: undefined };
    onLine("all is well; one more deployment of each application");
    const good = new Set(commits.filter((_, index) => plan.builds[index]?.fate === "good"));
    traffic.surprises.push(...(await closeAll(scene, good)));
    return { ...(await judge(scene)), faults, logs: undefined };
  } finally {
    await hostWatch.stop();
  }
}

/** Traffic and faults at once, until both plans are through. */
async function burn(
  { fleet, traffic, watchers, signal: stopped }: Scene,
  scale: Scale,
  plan: TrafficPlan,
  onLine: (line: string) => void,
): Promise<ReadonlyMap<FaultKind, number>> {
  const targets = targetsOf(fleet);
  const names = [...targets].map(([kind, named]) => [kind, [...named.keys()]] as const);
  const faults = planFaults(seededRandom(scale.seed + 2), {
    targets: Object.fromEntries(names),
    count: scale.faults,
    meanGapMs: Math.ceil(scale.durationMs / scale.faults),
    maxDownMs: scale.maxDownMs,
    ...(scale.longDownMs === undefined ? {} : { longDownMs: scale.longDownMs }),
  });
  const began = Date.now();
  const at = (): string => `${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s`;
  const over = new AbortController();
  const signal = listened(AbortSignal.any([stopped, over.signal]));
  const progress = async (): Promise<void> => {
    const { builds, deployments } = plan;
    for (;;) {
      await delay(PROGRESS_EVERY_MS, undefined, { signal: over.signal });
      const { submittedBuilds, createdDeployments, refusals } = traffic;
      onLine(
        `${at()}  ${submittedBuilds.length} of ${builds.length} builds submitted, ` +
          `${createdDeployments.length} of ${deployments.length} deployments created, ` +
          `${watchers.endCount} ends seen, ${refusals} requests refused`,
      );
    }
  };
  const firing = fire(faults, {
    targets,
    signal,
    onFault: ({ kind, target, downMs }, hit) =>
      onLine(`${at()}  kill ${kind} ${target}${hit ? ` for ${downMs} ms` : ": none runs"}`),
  });
  const driving = traffic.run(signal);
  const showing = progress();
  try {
    const [counts] = await Promise.all([firing, driving]);
    return counts;
  } finally {
    over.abort();
    // Nothing is started any more once this has answered.
    await Promise.allSettled([firing, driving, showing]);
  }
}

function holds(verdicts: readonly Verdict[]): boolean {
  return verdicts.every(({ violations }) => violations.length === 0);
}

/** Every watcher and every wait listens to it. */
function listened(signal: AbortSignal): AbortSignal {
  setMaxListeners(0, signal);
  return signal;
}
