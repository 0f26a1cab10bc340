import type { BenchmarkOptions, Figures } from "../main.js";
import { faults } from "./rack/fault.js";
import { type RaceResult, race } from "./rack/race.js";
import { onRack } from "./rack/rack.js";
import { rackFigures } from "./rack/rack-figures.js";
import { rackOptions } from "./rack/rack-options.js";
import { slipway } from "./rack/slipway.js";

/**
 * What swarmRack measures, while something goes wrong; of the hosts that are to finish, all of which
 * have to end up with the right bytes.
 */
export async function swarmFaults(given: BenchmarkOptions): Promise<Figures> {
  const options = rackOptions(given, { hosts: 24, mbit: 50, mib: 64, runs: 1 });
  const { bitsPerSecond, sizeBytes, runs, encryption, profile, signal } = options;
  const results = new Map<string, RaceResult[]>();
  await onRack({ ...options, spare: 1 }, async (course) => {
    for (let run = 1; run <= runs; run++) {
      for (const [name, fault] of chosen(given.faults)) {
        signal.throwIfAborted();
        const contender = slipway({ encryption, profile, fault: { ...fault, bitsPerSecond } });
        const result = await race(contender, course);
        results.set(name, [...(results.get(name) ?? []), result]);
        const figures = rackFigures([result], sizeBytes, bitsPerSecond);
        console.error(`run ${run} of ${runs}, ${name}: ${JSON.stringify(figures)}`);
      }
    }
  });
  const figures = [...results].map(([name, of]) => [
    name,
    rackFigures(of, sizeBytes, bitsPerSecond),
  ]);
  return Object.fromEntries(figures) as Figures;
}

function chosen(names: string | undefined): (readonly [string, (typeof faults)[string]])[] {
  const wanted = names?.split(",") ?? Object.keys(faults);
  return wanted.map((name) => {
    const fault = faults[name];
    if (fault === undefined) throw new Error(`--faults knows ${Object.keys(faults).join(", ")}`);
    return [name, fault] as const;
  });
}
