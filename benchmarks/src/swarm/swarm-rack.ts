import type { BenchmarkOptions, Figures } from "../main.js";
import { SkippedError } from "../skipped.js";
import { aria2 } from "./rack/aria2.js";
import type { Contender } from "./rack/contender.js";
import { libtorrent } from "./rack/libtorrent.js";
import { type RaceResult, race } from "./rack/race.js";
import { onRack } from "./rack/rack.js";
import { rackFigures } from "./rack/rack-figures.js";
import { rackOptions } from "./rack/rack-options.js";
import { slipway } from "./rack/slipway.js";

const peers: Record<string, () => Promise<Contender>> = { aria2, libtorrent };

/**
 * One seeder and N hosts on links of a rate: how long until every host has everything, over what its
 * link alone would take. Other programs run in turn with ours, run by run, on the same links.
 */
export async function swarmRack(given: BenchmarkOptions): Promise<Figures> {
  const options = rackOptions(given, { hosts: 8, mbit: 200, mib: 256, runs: 3 });
  const { bitsPerSecond, sizeBytes, runs, encryption, profile, signal } = options;
  const others = await contendersNamed(given.peers ?? "");
  const contenders = new Map([["slipway", slipway({ encryption, profile })], ...others]);
  const results = new Map<string, RaceResult[]>();
  await onRack(options, async (course) => {
    for (let run = 1; run <= runs; run++) {
      for (const [name, contender] of contenders) {
        signal.throwIfAborted();
        const result = await race(contender, course);
        results.set(name, [...(results.get(name) ?? []), result]);
        const figures = rackFigures([result], sizeBytes, bitsPerSecond);
        console.error(`run ${run} of ${runs}, ${name}: ${JSON.stringify(figures)}`);
      }
    }
  });
  const figures = (name: string) => rackFigures(results.get(name) ?? [], sizeBytes, bitsPerSecond);
  return {
    ...figures("slipway"),
    encryption,
    peers: Object.fromEntries([...others.keys()].map((name) => [name, figures(name)])),
  };
}

/** Those that are installed; says which are not. */
async function contendersNamed(names: string): Promise<Map<string, Contender>> {
  const found = new Map<string, Contender>();
  for (const name of names.split(",").filter((one) => one !== "")) {
    const peer = peers[name];
    if (peer === undefined) throw new Error(`--peers knows ${Object.keys(peers).join(", ")}`);
    try {
      found.set(name, await peer());
    } catch (error) {
      if (!(error instanceof SkippedError)) throw error;
      console.error(`${name} is left out: ${error.message}`);
    }
  }
  return found;
}
