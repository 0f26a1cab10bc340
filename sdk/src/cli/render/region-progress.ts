import { durationToMs, HostPhase, ReplicationState } from "@slipway/proto";
import type { PhaseCount, RegionProgress } from "@slipway/proto";
import type { DeploymentProgress } from "../../deployment-watch.js";
import { bytesText, spanText } from "../quantities.js";
import { fit, plain } from "../text.js";
import { replicationName } from "./names.js";
import { paint, type Colour, type Look } from "./style.js";

/** Phases in the order in which a bar shows them, from done to not begun. */
const PHASES: readonly { phase: HostPhase; mark: string; name: string; colour?: Colour }[] = [
  { phase: HostPhase.RUNNING, mark: "#", name: "running", colour: "green" },
  { phase: HostPhase.ACTIVATING, mark: "+", name: "activating", colour: "cyan" },
  { phase: HostPhase.STAGED, mark: "=", name: "staged", colour: "cyan" },
  { phase: HostPhase.STAGING, mark: "-", name: "staging", colour: "yellow" },
  { phase: HostPhase.FAILED, mark: "!", name: "failed", colour: "red" },
  { phase: HostPhase.HELD, mark: "~", name: "held back", colour: "dim" },
  { phase: HostPhase.PENDING, mark: ".", name: "waiting", colour: "dim" },
];

/** What the marks of a bar mean. */
export const BAR_LEGEND = PHASES.map(({ mark, name }) => `${mark} ${name}`).join("  ");

/** A region's counts, or those of all. */
interface Counted {
  status?: { phases: readonly PhaseCount[] } | undefined;
}

/** How many hosts are in a phase. */
export function countOf({ status }: Counted, phase: HostPhase): number {
  const counts = status?.phases.filter((one) => one.phase === phase) ?? [];
  return counts.reduce((sum, { count }) => sum + count, 0);
}

/** A bar of so many columns: each host has its share, and no phase that has one is left out. */
export function hostBar(progress: RegionProgress, width: number, look: Look): string {
  const hosts = progress.status?.hostCount ?? 0;
  const counts = PHASES.map(({ phase }) => countOf(progress, phase));
  const cells = shares(counts, Math.max(hosts, sum(counts)), width);
  return PHASES.map(({ mark, colour }, index) =>
    paint(look, colour, mark.repeat(cells[index] ?? 0)),
  )
    .join("")
    .concat(" ".repeat(width - sum(cells)));
}

/** "8/12 running, 3 staging, 1 failed", and what else matters of a region. */
export function regionText(progress: RegionProgress): string {
  const { status, silent, warming, replication } = progress;
  const parts: string[] = [];
  if (status === undefined) {
    parts.push(silent ? `silent: ${whySilent(progress, "no agent answers")}` : "no counts yet");
  } else {
    parts.push(...countTexts(progress, status.hostCount));
    if (status.chosenUnsteadyCount > 0) parts.push(`${status.chosenUnsteadyCount} keep exiting`);
    if (status.silentCount > 0) parts.push(`${status.silentCount} silent`);
    if (status.staleCount > 0) parts.push(`${status.staleCount} with a stale goal`);
    if (silent) parts.push(`region silent: ${whySilent(progress, "its agents do not answer")}`);
    if (warming) parts.push("counts incomplete: agent just started");
  }
  if (isCopying(replication)) parts.push(`artifact ${replicationName(replication)}`);
  return parts.join(", ");
}

function whySilent({ natsAwaySince }: RegionProgress, otherwise: string): string {
  return natsAwaySince === undefined
    ? otherwise
    : `its NATS has been away since ${natsAwaySince.toISOString()}`;
}

/** All that a line can say of a region: how far it may go, its hosts, its bytes. */
export function regionSummary(region: RegionProgress): string {
  const percent = region.bucketLimit > 0 ? `${percentText(region)} switch` : "";
  return [percent, regionText(region), transferText(region)]
    .filter((part) => part !== "")
    .join(", ");
}

/** All regions together: "30/120 running, 2 silent, 1.2 GiB of 4.0 GiB, 310 MiB/s, 9 s left". */
export function totalsText({ totals }: DeploymentProgress): string {
  if (totals === undefined || totals.hostCount === 0) return "";
  const parts = countTexts({ status: totals }, totals.hostCount);
  if (totals.silentCount > 0) parts.push(`${totals.silentCount} silent`);
  const etaMs = totals.eta && durationToMs(totals.eta, 0);
  parts.push(...bytesTexts(totals, etaMs));
  return parts.join(", ");
}

/** "1.2 GiB of 4.0 GiB, 310 MiB/s, 9 s left"; empty when nothing is being fetched. */
export function transferText({ status }: RegionProgress): string {
  if (status === undefined) return "";
  const left = Math.max(0, status.bytesTotal - status.bytesDone);
  const etaMs = status.bytesPerSecond > 0 ? (left / status.bytesPerSecond) * 1000 : undefined;
  return bytesTexts(status, etaMs).join(", ");
}

/** Whether a person should see this region before others. */
export function needsLook({ status, silent, replication }: RegionProgress): boolean {
  const faults = (status?.failures.length ?? 0) + (status?.silentCount ?? 0);
  return silent || faults > 0 || replication === ReplicationState.FAILED;
}

/** A region as one line of a live display, at most as wide as the terminal. */
export function regionLine(
  progress: RegionProgress,
  nameWidth: number,
  withPercent: boolean,
  look: Look,
): string {
  const name = fit(plain(progress.region), nameWidth).padEnd(nameWidth);
  const percent = withPercent ? `${percentText(progress).padStart(6)}  ` : "";
  const before = `${name}  ${percent}[`;
  const left = look.columns - before.length - 1;
  const width = Math.max(1, Math.min(40, Math.floor(look.columns / 4), left));
  const room = look.columns - before.length - width - 2;
  const text = [regionText(progress), transferText(progress)].filter((part) => part !== "");
  const shown = fit(text.join(", "), Math.max(room, 0));
  return `${before}${hostBar(progress, width, look)}]${shown === "" ? "" : ` ${shown}`}`;
}

/** How many of its hosts were told to switch: "12.5 %". */
function percentText({ bucketLimit }: RegionProgress): string {
  return `${Math.round(bucketLimit / 10) / 10} %`;
}

function countTexts(counted: Counted, hosts: number): string[] {
  const parts = [`${countOf(counted, HostPhase.RUNNING)}/${hosts} running`];
  for (const { phase, name } of PHASES.slice(1)) {
    const count = countOf(counted, phase);
    if (count > 0) parts.push(`${count} ${name}`);
  }
  return parts;
}

function bytesTexts(
  counts: { bytesDone: number; bytesTotal: number; bytesPerSecond: number },
  etaMs: number | undefined,
): string[] {
  const { bytesDone, bytesTotal, bytesPerSecond } = counts;
  if (bytesTotal === 0) return [];
  if (bytesDone >= bytesTotal) return [bytesText(bytesTotal)];
  const parts = [`${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`];
  if (bytesPerSecond > 0) parts.push(`${bytesText(bytesPerSecond)}/s`);
  if (bytesPerSecond > 0 && etaMs !== undefined) parts.push(`${spanText(etaMs)} left`);
  return parts;
}

function isCopying(replication: ReplicationState): boolean {
  return replication !== ReplicationState.COMPLETE && replication > ReplicationState.UNSPECIFIED;
}

/** Divides the columns by the counts; a count above 0 gets at least one while there are enough. */
function shares(counts: readonly number[], total: number, width: number): number[] {
  if (total === 0) return counts.map(() => 0);
  const cells = counts.map((count) =>
    count === 0 ? 0 : Math.max(1, Math.floor((count / total) * width)),
  );
  // What rounding left over goes to the largest, and what it took too much comes from there.
  const largest = counts.indexOf(Math.max(...counts));
  const used = sum(cells);
  const target = Math.min(width, Math.round((sum(counts) / total) * width));
  cells[largest] = Math.max(0, (cells[largest] ?? 0) + target - used);
  return cells;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
