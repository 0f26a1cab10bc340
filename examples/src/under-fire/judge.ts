import { setTimeout as delay } from "node:timers/promises";
import type { LocalFleet } from "../local-fleet/index.js";
import type { Facts } from "./facts.js";
import { readGoals } from "./goal-facts.js";
import { readHosts } from "./host-facts.js";
import type { HostWatch } from "./host-watch.js";
import { checkInvariants, type Verdict } from "./invariants.js";
import { readLedger } from "./ledger.js";
import { untilQuiet } from "./quiet.js";
import type { Traffic } from "./traffic.js";
import type { Watchers } from "./watchers.js";

/** What is going on, and who looks at it. */
export interface Scene {
  fleet: LocalFleet;
  applications: readonly string[];
  traffic: Traffic;
  watchers: Watchers;
  hostWatch: HostWatch;
  quietTimeoutMs: number;
  signal: AbortSignal;
}

export interface Judgement {
  facts: Facts;
  verdicts: Verdict[];
}

const LOOK_EVERY_MS = 1_000;
/** What copies of copies may lag behind what is settled already: goals are polled every 10 s. */
const LAG_MS = 15_000;

/** Waits until it is quiet and all invariants hold, or until that has taken too long, and judges. */
export async function judge(scene: Scene): Promise<Judgement> {
  const { fleet, applications, quietTimeoutMs, signal } = scene;
  const unrest = await untilQuiet(fleet, applications, quietTimeoutMs, signal);
  const end = Date.now() + LAG_MS;
  for (;;) {
    const facts = await collect(scene, unrest);
    const verdicts = checkInvariants(facts);
    const holds = verdicts.every(({ violations }) => violations.length === 0);
    if (holds || unrest !== undefined || Date.now() >= end) return { facts, verdicts };
    await delay(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function collect(scene: Scene, unrest: string | undefined): Promise<Facts> {
  const { fleet, applications, traffic, watchers, hostWatch } = scene;
  const [ledger, goals, hosts] = [
    await readLedger(fleet.postgres.url("slipway")),
    await readGoals(fleet, applications),
    await readHosts(fleet, applications),
  ];
  return {
    ...ledger,
    goals,
    hosts,
    submittedBuilds: traffic.submittedBuilds,
    createdDeployments: traffic.createdDeployments,
    watches: watchers.facts,
    falls: hostWatch.falls,
    looks: hostWatch.looks,
    surprises: [...traffic.surprises, ...(unrest === undefined ? [] : [`not quiet: ${unrest}`])],
  };
}
