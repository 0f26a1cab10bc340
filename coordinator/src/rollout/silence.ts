import { acceptedRegions, dueRegions, limitOf, type Silence, type Snapshot } from "./snapshot.js";
import { budget, toldOf, total, type RegionTally } from "./tally.js";
import { SLIPWAY, type DeploymentEvent } from "./deployment-event.js";

/** The regions without an agent, and the hosts told to switch that are silent. */
export function silenceOf(snapshot: Snapshot, tallies: readonly RegionTally[]): Silence {
  const told = toldOf(snapshot, tallies);
  const own = dueRegions(snapshot);
  const regions = tallies.filter(
    (region) =>
      region.heard === "silent" &&
      region.hostCount > 0 &&
      (told.includes(region) || own.includes(region.region)),
  );
  return { hosts: total(told, "chosenSilent"), regions: regions.map(({ region }) => region) };
}

/** What of a silence is more than was accepted. */
export function beyond(silence: Silence, accepted: Silence | undefined): Silence {
  if (accepted === undefined) return silence;
  return {
    hosts: silence.hosts > accepted.hosts ? silence.hosts : 0,
    regions: silence.regions.filter((region) => !accepted.regions.includes(region)),
  };
}

/** The regions that somebody went on without, and that can be judged by again. */
export function heardAgain(snapshot: Snapshot, tallies: readonly RegionTally[]): string[] {
  const accepted = acceptedRegions(snapshot);
  const back = tallies.filter(({ region, heard }) => heard === "live" && accepted.includes(region));
  return back.map(({ region }) => region);
}

/**
 * All but the regions that somebody goes on without. Of nobody but those there is nothing to go on
 * with: then it is waited for them.
 */
export function withoutAccepted(
  snapshot: Snapshot,
  tallies: readonly RegionTally[],
): readonly RegionTally[] {
  const accepted = acceptedRegions(snapshot);
  const rest = tallies.filter(
    ({ region, heard }) => heard === "live" || !accepted.includes(region),
  );
  return rest.some(({ hostCount }) => hostCount > 0) ? rest : tallies;
}

/** The pause for so much silence, if it is too much. */
export function pauseFor(
  silence: Silence,
  snapshot: Snapshot,
  tallies: readonly RegionTally[],
): DeploymentEvent | undefined {
  if (silence.regions.length > 0) {
    const message = silence.regions.map((region) => whySilent(region, tallies)).join("; ");
    return { type: "paused", reason: "REGION_SILENT", actor: SLIPWAY, message };
  }
  const told = toldOf(snapshot, tallies);
  const may = budget(total(told, "chosen"), snapshot.pace.silentPercent);
  if (silence.hosts <= may) return undefined;
  const where = told
    .filter(({ chosenSilent }) => chosenSilent > 0)
    .map(({ region, chosenSilent }) => `${chosenSilent} in ${region}`)
    .join(", ");
  const message =
    `${silence.hosts} of ${total(told, "chosen")} hosts that were told to switch are silent (${where}), ` +
    `and at most ${may} may be`;
  return { type: "paused", reason: "HOSTS_SILENT", actor: SLIPWAY, message };
}

function whySilent(name: string, tallies: readonly RegionTally[]): string {
  const since = tallies.find(({ region }) => region === name)?.natsAwaySince;
  return since === undefined
    ? `no agent is heard of in ${name}`
    : `the NATS of region ${name} has been away since ${since.toISOString()}, so that its hosts are not heard`;
}

/** Whether all can be heard by whom it would be judged: nothing known is no end of a silence. */
export function allHeard(snapshot: Snapshot, tallies: readonly RegionTally[]): boolean {
  const own = dueRegions(snapshot);
  return tallies.every((region) => {
    const told = limitOf(snapshot, region.region) > 0;
    if (region.hostCount === 0 || !(told || own.includes(region.region))) return true;
    return region.heard === "live" && (!told || region.status !== undefined);
  });
}
