import type { Report } from "./run.js";

/** At most so many violations of an invariant are shown. */
const SHOWN = 10;

/** What came of a run, for people to read. */
export function reportLines({ verdicts, facts, faults, logs }: Report): string[] {
  return [
    `faults: ${counted([...faults])}`,
    `builds: ${counted(tally(facts.builds.map(({ status }) => status)))}`,
    `deployments: ${counted(tally(facts.deployments.map(({ state }) => state)))}`,
    ...verdicts.flatMap(({ invariant, checked, violations }) => [
      `${violations.length === 0 ? "✓" : "✗"} ${invariant} (${checked} looked at)`,
      ...violations.slice(0, SHOWN).map((violation) => `    ${violation}`),
      ...(violations.length > SHOWN ? [`    and ${violations.length - SHOWN} more`] : []),
    ]),
    ...(logs === undefined ? [] : [`evidence: ${logs}`]),
  ];
}

function tally(words: readonly string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

function counted(counts: readonly (readonly [string, number])[]): string {
  const sum = counts.reduce((all, [, count]) => all + count, 0);
  return `${sum} (${counts.map(([word, count]) => `${count} ${word}`).join(", ")})`;
}
