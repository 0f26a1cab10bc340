import type { KindMemory } from "./memory.js";
import type { DeployFigures } from "./deploy-figures.js";
import type { BuildTimes } from "./release.js";
import { bytes, duration, table } from "./render.js";

/** One step's figures; a roll-back has none of a build. */
export type StepFigures = { title: string } & DeployFigures & Partial<BuildTimes>;

/** The table at the end: a column for each step, and what the processes have in memory. */
export function summary(
  steps: readonly StepFigures[],
  regions: number,
  memory: readonly KindMemory[],
): string[] {
  const row = (name: string, cell: (step: StepFigures) => string): string[] => [
    name,
    ...steps.map(cell),
  ];
  const figures = table([
    row("", ({ title }) => title),
    row("submit to leased", ({ leased }) => time(leased)),
    row("build", ({ build }) => time(build)),
    row(`replicate to ${regions} regions`, ({ replicate }) => time(replicate)),
    row("deploy to last host running", ({ lastHost }) => time(lastHost)),
    row("bytes from peers", ({ fromPeers }) => bytes(fromPeers)),
    row("bytes from seeders", ({ fromSeeders }) => bytes(fromSeeders)),
    row("bytes already on the hosts", ({ fromLocal }) => bytes(fromLocal)),
    row("bytes from other builds", ({ fromReuse }) => bytes(fromReuse)),
  ]);
  const resident = memory.map(({ kind, count, resident: size }) => [kind, `${count}`, bytes(size)]);
  return [...figures, "", ...table([["memory at rest", "processes", "each"], ...resident])];
}

function time(ms: number | undefined): string {
  return ms === undefined ? "–" : duration(ms);
}
