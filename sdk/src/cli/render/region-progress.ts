import { HostPhase, type RegionProgress } from "@slipway/proto";
import { bytesText, spanText } from "../quantities.js";
import { fit, plain } from "../text.js";
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

/** How many hosts are in a phase. */
export function countOf({ status }: RegionProgress, phase: HostPhase): number {
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
  const { status, silent, warming } = progress;
  if (status === undefined) return silent ? "silent: no agent answers" : "no counts yet";
  const parts = [`${countOf(progress, HostPhase.RUNNING)}/${status.hostCount} running`];
  for (const { phase, name } of PHASES.slice(1)) {
    const count = countOf(progress, phase);
    if (count > 0) parts.push(`${count} ${name}`);
  }
  if (status.silentCount > 0) parts.push(`${status.silentCount} silent`);
  if (silent) parts.push("region silent: its agents do not answer");
  if (warming) parts.push("counts incomplete: agent just started");
  return parts.join(", ");
}

/** "1.2 GiB of 4.0 GiB, 310 MiB/s, 9 s left"; empty when nothing is being fetched. */
export function transferText({ status }: RegionProgress): string {
  if (status === undefined || status.bytesTotal === 0) return "";
  const { bytesDone, bytesTotal, bytesPerSecond } = status;
  const left = Math.max(0, bytesTotal - bytesDone);
  if (left === 0) return bytesText(bytesTotal);
  const parts = [`${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`];
  if (bytesPerSecond > 0) {
    parts.push(
      `${bytesText(bytesPerSecond)}/s`,
      `${spanText((left / bytesPerSecond) * 1000)} left`,
    );
  }
  return parts.join(", ");
}

/** A region as one line of a live display. */
export function regionLine(progress: RegionProgress, nameWidth: number, look: Look): string {
  const name = fit(plain(progress.region), nameWidth).padEnd(nameWidth);
  const width = Math.min(40, Math.max(10, Math.floor(look.columns / 4)));
  const room = look.columns - nameWidth - width - 5;
  const text = [regionText(progress), transferText(progress)].filter((part) => part !== "");
  const shown = fit(text.join(", "), Math.max(room, 0));
  return `${name}  [${hostBar(progress, width, look)}] ${shown}`;
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
