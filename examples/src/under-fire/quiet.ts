import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { selectorTakes } from "@slipway/agent";
import { HostPhase, type HostStatus, SlipwayError } from "@slipway/sdk";
import type { LocalFleet } from "../local-fleet/fleet.js";
import type { GoalFact } from "./facts.js";
import { readGoals } from "./goal-facts.js";
import { countOpen, readDecommissioned } from "./ledger.js";
import { labelsOf } from "./targets.js";

const LOOK_EVERY_MS = 500;
const SETTLED = new Set([HostPhase.RUNNING, HostPhase.FAILED, HostPhase.HELD]);

/**
 * Waits until nothing is under way: builds and deployments have ended, hooks were told, and every
 * host says that it has done what the goal of each application wants.
 * @returns what was under way still after `timeoutMs`; undefined if all is quiet.
 */
export async function untilQuiet(
  fleet: LocalFleet,
  applications: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const unrest = await unrestOf(fleet, applications, signal);
    if (unrest === undefined || Date.now() >= end) return unrest;
    await delay(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function unrestOf(
  fleet: LocalFleet,
  applications: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const open = await countOpen(fleet.postgres.url("slipway"));
  if (open.builds + open.deployments > 0) {
    return `${open.builds} builds and ${open.deployments} deployments have not ended`;
  }
  if (open.notifications > 0) return `${open.notifications} notifications are not delivered`;
  try {
    return await restlessHost(fleet, applications, signal);
  } catch (error) {
    if (error instanceof SlipwayError && error.retryable) return error.message;
    throw error;
  }
}

async function restlessHost(
  fleet: LocalFleet,
  applications: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const goals = (await readGoals(fleet, applications)).filter(
    ({ bucket }) => bucket === "regional",
  );
  const gone = await readDecommissioned(fleet.postgres.url("slipway"));
  const expected = new Map(fleet.hosts.map((host) => [host.id, labelsOf(fleet.process(host.id))]));
  for (const hostId of gone) expected.delete(hostId);
  for await (const { status, silent } of fleet.client.fleet.hosts({}, { signal })) {
    if (status === undefined || silent) continue;
    const { hostId } = status;
    const labels = expected.get(hostId);
    if (labels === undefined) continue;
    if (!isDeepStrictEqual(labels, status.labels)) return `${hostId} has other labels still`;
    const own = goals.filter(({ region }) => region === status.region);
    for (const goal of own) {
      const unrest = unrestBy(goal, status);
      if (unrest !== undefined) return `${hostId}, ${goal.application}: ${unrest}`;
    }
    expected.delete(hostId);
  }
  const [unheard] = expected.keys();
  return unheard === undefined ? undefined : `${unheard} is not heard of`;
}

/** What a host has not done yet of what a goal wants. */
function unrestBy(
  { application, generation, selector, isRemoval }: GoalFact,
  { applications, labels }: HostStatus,
): string | undefined {
  const own = applications.find((each) => each.application === application);
  if (isRemoval || !selectorTakes(selector, labels)) {
    return own === undefined ? undefined : "is not forgotten yet";
  }
  if (own?.generation === generation && SETTLED.has(own.phase)) return undefined;
  const phase = HostPhase[own?.phase ?? 0];
  return `${phase} at generation ${own?.generation ?? 0}, of ${generation}`;
}
