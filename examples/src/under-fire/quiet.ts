import { setTimeout as delay } from "node:timers/promises";
import { HostPhase, SlipwayError } from "@slipway/sdk";
import type { LocalFleet } from "../local-fleet/fleet.js";
import { countOpen } from "./ledger.js";

const LOOK_EVERY_MS = 500;
const SETTLED = new Set([HostPhase.RUNNING, HostPhase.FAILED, HostPhase.HELD]);

/**
 * Waits until nothing is under way: builds and deployments have ended, and every host says that it
 * has done what the newest goal of each application wants.
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
  try {
    return await restlessHost(fleet, applications, signal);
  } catch (error) {
    if (error instanceof SlipwayError && error.retryable) return error.message;
    throw error;
  }
}

async function restlessHost(
  { client, hosts }: LocalFleet,
  applications: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const goals = new Map<string, number>();
  for (const application of applications) {
    const { items } = await client.deployments.listPage({ application, pageSize: 1 }, { signal });
    const [newest] = items;
    if (newest !== undefined) goals.set(application, newest.generation);
  }
  const quiet = new Set<string>();
  for await (const { status, silent } of client.fleet.hosts({}, { signal })) {
    if (status === undefined || silent) continue;
    const { hostId } = status;
    for (const [application, generation] of goals) {
      const own = status.applications.find((each) => each.application === application);
      const is = `${HostPhase[own?.phase ?? 0]} at generation ${own?.generation ?? 0}`;
      if (own?.generation !== generation || !SETTLED.has(own.phase)) {
        return `${hostId}, ${application}: ${is}, of ${generation}`;
      }
    }
    quiet.add(hostId);
  }
  const unheard = hosts.find(({ id }) => !quiet.has(id));
  return unheard === undefined ? undefined : `${unheard.id} is not heard of`;
}
