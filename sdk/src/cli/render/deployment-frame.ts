import type { RegionProgress } from "@slipway/proto";
import type { DeploymentProgress } from "../../deployment-watch.js";
import { fit, oneLine, plain } from "../text.js";
import { tookText } from "./deployment.js";
import { failureLines, slowestLine } from "./host-lines.js";
import { ageTexts, heardRegions } from "./hearing.js";
import { stateCell } from "./names.js";
import { BAR_LEGEND, needsLook, regionLine, totalsText } from "./region-progress.js";
import { notices, phaseTimeText, presentStepText } from "./step.js";
import { paint, type Colour, type Look } from "./style.js";

/** A line of a display, with what is left out first where there is no room: the highest. */
interface Line {
  text: string;
  colour?: Colour | undefined;
  /** 0 stays whatever happens. */
  spare: number;
}

/** Room that a display has. */
export interface Room {
  /** Lines, at least 1. */
  rows: number;
  /** Something to say below the rest, such as that the coordinator is away. */
  trouble?: string | undefined;
}

/**
 * The lines of a live display: no more than there is room for, each at most as wide as the terminal.
 * Where not everything fits, what a person has to know and do stays, and regions in which something
 * happens.
 */
export function deploymentFrame(
  progress: DeploymentProgress,
  look: Look,
  { rows, trouble }: Room,
): string[] {
  const { deployment } = progress;
  const regions = heardRegions(progress);
  const lines: Line[] = [];
  const say = (text: string, spare: number, colour?: Colour): void => {
    if (text !== "") lines.push({ text: fit(text, look.columns), colour, spare });
  };
  const step = presentStepText(deployment);
  say(step === "" ? "" : `${step}${phaseTimeText(deployment, look)}`, 1);
  for (const { text, colour } of notices(deployment, look.columns)) say(text, 0, colour);
  const below: Line[] = [];
  const totals = regions.length > 1 ? totalsText(progress) : "";
  if (totals !== "") below.push({ text: fit(`all: ${totals}`, look.columns), spare: 3 });
  below.push({ text: fit(BAR_LEGEND, look.columns), colour: "dim", spare: 7 });
  for (const [index, failure] of failureLines(regions).entries()) {
    const text = fit(oneLine(failure), look.columns);
    below.push({ text, colour: "red", spare: index === 0 ? 2 : 5 });
  }
  const slowest = slowestLine(regions);
  if (slowest !== "") {
    below.push({ text: fit(plain(slowest), look.columns), colour: "dim", spare: 6 });
  }
  for (const text of ageTexts(progress, look.now)) {
    below.push({ text: fit(text, look.columns), colour: "yellow", spare: 0 });
  }
  if (trouble !== undefined) {
    below.push({ text: fit(trouble, look.columns), colour: "yellow", spare: 0 });
  }
  const room = Math.max(1, rows) - 1;
  const least = Math.min(regions.length, 3);
  const kept = keep([...lines, ...below], Math.max(room - least, 0));
  const shownRegions = regionLines({ ...progress, regions }, look, Math.max(room - kept.size, 0));
  const paintAll = (of: readonly Line[]): string[] =>
    of.filter((line) => kept.has(line)).map(({ text, colour }) => paint(look, colour, text));
  return [headLine(progress, look), ...paintAll(lines), ...shownRegions, ...paintAll(below)].slice(
    0,
    Math.max(1, rows),
  );
}

function headLine({ deployment }: DeploymentProgress, look: Look): string {
  const { text: state, colour } = stateCell(deployment.state);
  const took = tookText(deployment, look.now);
  const tail = took === "" ? "" : ` for ${took}`;
  const name = `${plain(deployment.application)} ${plain(deployment.commitSha.slice(0, 12))}`;
  const head = fit(name, Math.max(look.columns - state.length - tail.length - 2, 8));
  const room = look.columns - head.length - 2;
  const shown = fit(state, room);
  return `${head}  ${paint(look, colour, shown)}${fit(tail, room - shown.length)}`;
}

/** As many of the lines as there is room for, those that can be spared least. */
function keep(lines: readonly Line[], room: number): ReadonlySet<Line> {
  return new Set([...lines].sort((one, other) => one.spare - other.spare).slice(0, room));
}

/** Regions in their order; where there is no room for all, those in which something happens. */
function regionLines({ deployment, regions }: DeploymentProgress, look: Look, room: number) {
  const nameWidth = Math.min(
    Math.max(Math.floor(look.columns / 4), 4),
    24,
    regions.reduce((most, { region }) => Math.max(most, region.length), 0),
  );
  const line = (region: RegionProgress): string =>
    regionLine(region, nameWidth, deployment.steps.length > 0, look);
  if (regions.length <= room) return regions.map(line);
  if (room === 0) return [];
  const present = deployment.steps[deployment.step - 1]?.regions ?? [];
  const rank = (region: RegionProgress): number =>
    (needsLook(region) ? 2 : 0) + (present.includes(region.region) ? 1 : 0);
  const ranked = [...regions].sort((one, other) => rank(other) - rank(one)).slice(0, room - 1);
  const more = `… and ${regions.length - ranked.length} more regions`;
  return [
    ...regions.filter((region) => ranked.includes(region)).map(line),
    paint(look, "dim", fit(more, look.columns)),
  ];
}
