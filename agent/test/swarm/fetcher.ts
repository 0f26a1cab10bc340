// A member in a process of its own, for tests that kill it: says its progress as JSON lines.
import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { type SwarmOptions, join, readIdentity } from "../../src/swarm/index.js";
import { log } from "./fixtures.js";

export interface FetcherConfig extends Pick<
  SwarmOptions,
  "cell" | "listen" | "bootstrap" | "runBootstrap"
> {
  identityFile: string;
  /** PEM. */
  membershipPublicKey: string;
  dir: string;
  /** What it fetches; else it shares what it has. */
  digest?: string;
  /** Shares until its input ends, rather than until it has what it fetches. */
  stay: boolean;
}

const config = JSON.parse(await readFile(process.argv[2] ?? "", "utf8")) as FetcherConfig;
const store = await openArtifactStore(config.dir);
const swarm = await join({
  identity: await readIdentity(config.identityFile),
  membershipPublicKey: createPublicKey(config.membershipPublicKey),
  cell: config.cell,
  listen: config.listen,
  bootstrap: config.bootstrap,
  runBootstrap: config.runBootstrap ?? false,
  source: store,
  log,
});
const stopped = once(process.stdin.resume(), "end");
if (config.digest !== undefined) {
  const signal = AbortSignal.timeout(60_000);
  for await (const progress of swarm.fetch(config.digest, { store, signal })) {
    console.log(JSON.stringify(progress));
  }
} else console.log("{}");
if (config.stay) await stopped;
await swarm.close();
process.exit(0);
