import { setTimeout as delay } from "node:timers/promises";
import type { LocalFleet } from "../local-fleet/index.js";
import type { Asker } from "./asker.js";
import { readCounts } from "./count-facts.js";
import type { Facts } from "./facts.js";
import { readGoals } from "./goal-facts.js";
import { readHosts } from "./host-facts.js";
import type { HostWatch } from "./host-watch.js";
import type { HookReceiver } from "./hook-receiver.js";
import { checkInvariants } from "./invariants.js";
import { readLeases } from "./lease-facts.js";
import { readLedger } from "./ledger.js";
import type { People } from "./people.js";
import { newest } from "./newest.js";
import { readRefusals } from "./refusal-facts.js";
import { untilQuiet } from "./quiet.js";
import type { Traffic } from "./traffic.js";
import type { Verdict } from "./verdict.js";
import type { Watchers } from "./watchers.js";

/** What is going on, and who looks at it. */
export interface Scene {
  fleet: LocalFleet;
  people: People;
  applications: readonly string[];
  traffic: Traffic;
  asker: Asker;
  watchers: Watchers;
  receiver: HookReceiver;
  hostWatch: HostWatch;
  quietTimeoutMs: number;
  signal: AbortSignal;
}

export interface Judgement {
  facts: Facts;
  verdicts: Verdict[];
}

const LOOK_EVERY_MS = 1_000;
/** What copies of copies may lag behind what is settled already: a region's hosts are read every 60 s. */
const LAG_MS = 75_000;

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
  const { fleet, applications, traffic, asker, watchers, receiver, hostWatch, signal } = scene;
  const ledger = await readLedger(fleet.postgres.url("slipway"));
  const goals = await readGoals(fleet, applications);
  const hosts = await readHosts(fleet, applications, ledger.decommissioned);
  const counts = await readCounts(fleet.client, newest(ledger), signal);
  const { logs, refusals } = await readRefusals(fleet, ledger.decommissioned);
  return {
    ...ledger,
    refusalLogs: logs,
    refusals,
    leases: await readLeases(fleet),
    goals,
    hosts,
    counts,
    deliveries: receiver.deliveries,
    switches: hostWatch.switches,
    submittedBuilds: traffic.submittedBuilds,
    createdDeployments: traffic.createdDeployments,
    watches: watchers.facts,
    falls: hostWatch.falls,
    looks: hostWatch.looks,
    surprises: [...asker.surprises, ...(unrest === undefined ? [] : [`not quiet: ${unrest}`])],
  };
}
