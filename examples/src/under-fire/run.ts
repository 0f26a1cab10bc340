import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type LocalFleet, startLocalFleet } from "../local-fleet/index.js";
import { Interrupted } from "../local-fleet/interruption.js";
import { closeAll } from "./closing.js";
import type { Facts } from "./facts.js";
import { planFaults } from "./fault-plan.js";
import { fire } from "./fire.js";
import { judge } from "./judge.js";
import { planOperations } from "./operation-plan.js";
import { Operator } from "./operator.js";
import { seededRandom } from "./random.js";
import type { Scale } from "./scale.js";
import { NARROWER, operationScope, relabelledHosts } from "./scope.js";
import { listened, setStage, type Stage } from "./stage.js";
import { targetsOf } from "./targets.js";
import type { Verdict } from "./verdict.js";

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
  /** How many faults of each way and kind there were. */
  faults: ReadonlyMap<string, number>;
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
    const report = await underFire(fleet, scale, { signal, onLine });
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
  { signal: stopped, onLine }: RunOptions,
): Promise<Report> {
  const limit = AbortSignal.timeout(scale.durationMs + 4 * scale.quietTimeoutMs + FRAME_MS);
  const signal = listened(AbortSignal.any([stopped, fleet.broken, limit]));
  const stage = await setStage(fleet, scale, signal);
  const { scene, commits, plan } = stage;
  try {
    const faults = await burn(stage, scale, onLine);
    onLine("the fire is out; waiting for quiet");
    const afterFire = await judge(scene);
    if (!holds(afterFire.verdicts)) return { ...afterFire, faults, logs: undefined };
    onLine("all is well; one more deployment of each application that is there");
    const good = new Set(commits.filter((_, index) => plan.builds[index]?.fate === "good"));
    scene.asker.surprises.push(...(await closeAll(scene, good)));
    return { ...(await judge(scene)), faults, logs: undefined };
  } finally {
    await scene.hostWatch.stop();
    await scene.receiver.close();
  }
}

/** Traffic, operations and faults at once, until all plans are through. */
async function burn(
  { scene, plan, specs }: Stage,
  scale: Scale,
  onLine: (line: string) => void,
): Promise<ReadonlyMap<string, number>> {
  const { fleet, traffic, asker, watchers, signal: stopped } = scene;
  const targets = targetsOf(fleet);
  const names = [...targets].map(([kind, named]) => [kind, [...named.keys()]] as const);
  const faults = planFaults(seededRandom(scale.seed + 2), {
    targets: Object.fromEntries(names),
    count: scale.faults,
    meanGapMs: Math.ceil(scale.durationMs / scale.faults),
    maxDownMs: scale.maxDownMs,
    hangs: scale.hangs,
    relabelled: relabelledHosts(fleet),
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
      const { submittedBuilds, createdDeployments } = traffic;
      onLine(
        `${at()}  ${submittedBuilds.length} of ${builds.length} builds submitted, ` +
          `${createdDeployments.length} of ${deployments.length} deployments created, ` +
          `${watchers.endCount} ends seen, ${asker.refusals} requests refused`,
      );
    }
  };
  const firing = fire(faults, {
    targets,
    signal,
    onFault: ({ way, kind, target, downMs }, hit) =>
      onLine(`${at()}  ${way} ${kind} ${target}${hit ? ` for ${downMs} ms` : ": none runs"}`),
  });
  const operator = new Operator({
    client: scene.people.operator,
    plan: planOperations(seededRandom(scale.seed + 3), operationScope(fleet, scale)),
    specs,
    narrow: NARROWER,
    newestBuild: (application) => traffic.newestBuilds.get(application),
    asker,
    onOperation: (what) => onLine(`${at()}  ${what}`),
  });
  const driving = traffic.run(signal);
  const operating = operator.run(signal);
  const showing = progress();
  try {
    const [counts] = await Promise.all([firing, driving, operating]);
    return counts;
  } finally {
    over.abort();
    // Nothing is started any more once this has answered.
    await Promise.allSettled([firing, driving, operating, showing]);
  }
}

function holds(verdicts: readonly Verdict[]): boolean {
  return verdicts.every(({ violations }) => violations.length === 0);
}
