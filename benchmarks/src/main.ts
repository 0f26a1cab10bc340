import process from "node:process";
import { parseArgs } from "node:util";
import { goal } from "./goal.js";
import { SkippedError } from "./skipped.js";
import { rackModel } from "./rack-model/rack-model.js";
import { queue } from "./queue/queue.js";
import { delta } from "./swarm/delta.js";
import { swarm10Gb } from "./swarm/swarm-10gb.js";
import { swarmFaults } from "./swarm/swarm-faults.js";
import { swarmPair } from "./swarm/swarm-pair.js";
import { swarmRack } from "./swarm/swarm-rack.js";
import { watch } from "./watch/watch.js";

/** One benchmark: its figures by name; a peer's or a physical limit's in a record of their own. */
export interface Figures {
  [name: string]: number | string | Figures;
}

/** What a benchmark may be told; each takes what means something to it. */
export interface BenchmarkOptions {
  hosts?: string;
  mbit?: string;
  mib?: string;
  /** MiB spread before the clock starts. */
  warm?: string;
  /** KiB of a chunk, about. */
  chunk?: string;
  runs?: string;
  /** Jobs of a queue, enqueued and completed for each figure. */
  jobs?: string;
  /** Builds that are in the database already, finished. */
  finished?: string;
  /** Streams that watch a deployment. */
  streams?: string;
  seconds?: string;
  /** Names of other programs to measure, separated by commas. */
  peers?: string;
  /** Names of what goes wrong, separated by commas. */
  faults?: string;
  encryption?: string;
  /** Where our processes leave profiles. */
  profile?: string;
  /** Where files are put meanwhile. */
  dir?: string;
  /** SIGINT or SIGTERM came: clean up. */
  signal: AbortSignal;
}

const benchmarks: Record<string, (options: BenchmarkOptions) => Promise<Figures>> = {
  delta,
  goal,
  queue,
  "rack-model": rackModel,
  "swarm-10gb": swarm10Gb,
  "swarm-faults": swarmFaults,
  "swarm-pair": swarmPair,
  "swarm-rack": swarmRack,
  watch,
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    hosts: { type: "string" },
    mbit: { type: "string" },
    mib: { type: "string" },
    warm: { type: "string" },
    chunk: { type: "string" },
    runs: { type: "string" },
    jobs: { type: "string" },
    finished: { type: "string" },
    streams: { type: "string" },
    seconds: { type: "string" },
    peers: { type: "string" },
    faults: { type: "string" },
    encryption: { type: "string" },
    profile: { type: "string" },
    dir: { type: "string" },
  },
});
const [name = ""] = positionals;
const benchmark = benchmarks[name];
if (benchmark === undefined) {
  const known = Object.keys(benchmarks).join(", ");
  console.error(`usage: npm run bench -- NAME [options] [--json]\nNAME is one of: ${known}`);
  process.exit(2);
}
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
}
try {
  const figures = await benchmark({ ...values, signal: stop.signal });
  if (values.json) console.log(JSON.stringify(figures));
  else print(figures);
} catch (error) {
  if (!(error instanceof SkippedError) && !stop.signal.aborted) throw error;
  console.error(error instanceof SkippedError ? `SKIPPED: ${error.message}` : "stopped");
  process.exit(error instanceof SkippedError ? 3 : 130);
}

function print(figures: Figures, of = name): void {
  const own = Object.entries(figures).filter(([, value]) => typeof value !== "object");
  console.log(of);
  console.table(Object.fromEntries(own));
  for (const [key, value] of Object.entries(figures)) {
    if (typeof value === "object") print(value, `${of} ${key}`);
  }
}
