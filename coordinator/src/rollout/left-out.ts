import {
  acceptedRegions,
  duePercent,
  dueRegions,
  limitAt,
  limitOf,
  type Limits,
  type Snapshot,
} from "./snapshot.js";

/** Whether somebody goes on without all regions of the present step. */
export function goesWithoutAll(snapshot: Snapshot): boolean {
  const accepted = acceptedRegions(snapshot);
  return dueRegions(snapshot).every((region) => accepted.includes(region));
}

/**
 * Regions that a deployment went on without count again: from fetching the bytes on, and with all of
 * their time, so that nothing fails for how long they were away. Undefined if it goes without none of
 * them.
 */
export function takenBack(
  before: Snapshot,
  back: readonly string[],
  now: number,
): Snapshot | undefined {
  const { acceptedSilence, isRollback, deadline } = before;
  if (acceptedSilence === undefined || acceptedSilence === "present") return undefined;
  const regions = acceptedSilence.regions.filter((region) => !back.includes(region));
  if (regions.length === acceptedSilence.regions.length) return undefined;
  return {
    ...before,
    acceptedSilence: { ...acceptedSilence, regions },
    phase: isRollback ? "SWITCHING" : "STAGING",
    phaseTime: now,
    raiseTime: now,
    deadline: Math.max(deadline, timeAgain(before, now)),
  };
}

/** When hosts that begin now to fetch the bytes have to have switched. */
export function timeAgain({ pace }: Pick<Snapshot, "pace">, now: number): number {
  return now + pace.activateTimeoutMs + pace.stageTimeoutMs;
}

/** The limits by which hosts that it went on without come to a success, whenever they are back. */
export function limitsOfSuccess(before: Snapshot): Limits {
  const limits: { [region: string]: number } = { ...before.limits };
  for (const region of acceptedRegions(before)) {
    limits[region] = Math.max(limitOf(before, region), limitAt(duePercent(before, region)));
  }
  return limits;
}
