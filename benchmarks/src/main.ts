import { parseArgs } from "node:util";
import { submitToLease } from "./submit-to-lease.js";
import { swarmPair } from "./swarm/swarm-pair.js";

/** One benchmark: its figures by name; a peer's or a physical limit's under `beside`. */
export type Figures = Record<string, number | string | Record<string, number>>;

const benchmarks: Record<string, () => Promise<Figures>> = {
  "submit-to-lease": submitToLease,
  "swarm-pair": swarmPair,
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false } },
});
const [name = ""] = positionals;
const benchmark = benchmarks[name];
if (benchmark === undefined) {
  const known = Object.keys(benchmarks).join(", ");
  console.error(`usage: npm run bench -- NAME [--json]\nNAME is one of: ${known}`);
  process.exit(2);
}
const figures = await benchmark();
if (values.json) console.log(JSON.stringify(figures));
else console.table(figures);
