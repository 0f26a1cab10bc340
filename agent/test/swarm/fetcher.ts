// A host in a process of its own, for tests that kill it: says its progress as JSON lines.
import { createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { type SwarmOptions, join, readIdentity } from "../../src/swarm/index.js";
import { log } from "./fixtures.js";

export interface FetcherConfig extends Pick<SwarmOptions, "cell" | "listen" | "bootstrap"> {
  identityFile: string;
  /** PEM. */
  membershipPublicKey: string;
  dir: string;
  digest: string;
}

const config = JSON.parse(await readFile(process.argv[2] ?? "", "utf8")) as FetcherConfig;
const store = await openArtifactStore(config.dir);
const swarm = await join({
  identity: await readIdentity(config.identityFile),
  membershipPublicKey: createPublicKey(config.membershipPublicKey),
  cell: config.cell,
  listen: config.listen,
  bootstrap: config.bootstrap,
  source: store,
  log,
});
const signal = AbortSignal.timeout(30_000);
for await (const progress of swarm.fetch(config.digest, { store, signal })) {
  console.log(JSON.stringify(progress));
}
await swarm.close();
