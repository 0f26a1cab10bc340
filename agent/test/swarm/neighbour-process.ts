// A host in a process of its own, for tests that kill it: says "joined", and stays.
import { createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { type SwarmOptions, join, readIdentity } from "../../src/swarm/index.js";
import { log } from "./fixtures.js";

export interface NeighbourConfig extends Pick<SwarmOptions, "cell" | "listen" | "bootstrap"> {
  identityFile: string;
  /** PEM. */
  membershipPublicKey: string;
}

const config = JSON.parse(await readFile(process.argv[2] ?? "", "utf8")) as NeighbourConfig;
await join({
  identity: await readIdentity(config.identityFile),
  membershipPublicKey: createPublicKey(config.membershipPublicKey),
  cell: config.cell,
  listen: config.listen,
  bootstrap: config.bootstrap,
  source: { open: () => Promise.resolve(undefined) },
  log,
});
console.log("joined");
