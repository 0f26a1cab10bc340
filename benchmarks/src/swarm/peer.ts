// One peer of a swarm in a process of its own: it joins, then seeds or fetches, and tells its parent.
import { createPublicKey } from "node:crypto";
import process from "node:process";
import { join, openArtifactStore, readIdentity, type SwarmOptions } from "@slipway/agent/swarm";
import { pino } from "pino";
import { fileSource, type Seed } from "./file-source.js";
import { watching } from "./watched-store.js";

/** What a peer is told when it starts. */
export interface PeerConfig extends Pick<SwarmOptions, "listen" | "bootstrap" | "encryption"> {
  identityFile: string;
  /** PEM. */
  membershipPublicKey: string;
  digest: string;
  /** What it has; who has nothing fetches into `dir`. */
  seeds: Seed[];
  /** Fetched before it is ready: its code is compiled by then. */
  warm?: string;
  dir: string;
  /** It is ready once it has so many; a seeder is at once. */
  neighbours: number;
}

/** What a peer tells. Times in milliseconds, processor time in seconds, memory in bytes. */
export type PeerMessage =
  | { kind: "ready" }
  | {
      kind: "done";
      transferMs: number;
      syncedMs: number;
      /** By Date.now. */
      endedAt: number;
      file: string;
      cpuSeconds: number;
      rssBytes: number;
      /** Of the artifact, copied from others that were here. */
      reusedBytes: number;
    }
  /** It has half of the bytes. */
  | { kind: "half" }
  /** Chunks; undefined until it has the manifest. */
  | { kind: "missing"; missing: number[] | undefined }
  | { kind: "usage"; cpuSeconds: number; rssBytes: number; bytesSent: number };

/** What a peer is told later. */
export type PeerOrder = "go" | "usage" | "missing";

const config = JSON.parse(process.argv[2] ?? "") as PeerConfig;
const identity = await readIdentity(config.identityFile);
const store = watching(await openArtifactStore(config.dir), config.digest);
const seeds = config.seeds.length > 0;
const swarm = await join({
  identity,
  membershipPublicKey: createPublicKey(config.membershipPublicKey),
  cell: "bench",
  listen: config.listen,
  bootstrap: config.bootstrap,
  runBootstrap: identity.role === "region",
  source: seeds ? await fileSource(config.seeds) : store.store,
  log: pino({ level: process.env["BENCH_LOG"] ?? "silent" }),
  encryption: config.encryption ?? "tls-psk",
});
let before = process.cpuUsage();
process.on("message", (order: PeerOrder) => {
  if (order === "usage") {
    say({ kind: "usage", ...usage(), bytesSent: swarm.stats.bytesSent });
    return;
  }
  if (order === "missing") {
    say({ kind: "missing", missing: store.missing() });
    return;
  }
  before = process.cpuUsage();
  if (!seeds) fetchIt().catch(fail);
});
let leaving = false;
process.on("disconnect", () => {
  leaving = true;
  void swarm.close().then(() => process.exit(0));
});
const poll = setInterval(() => {
  if (!seeds && swarm.stats.neighbours < config.neighbours) return;
  clearInterval(poll);
  if (seeds || config.warm === undefined) say({ kind: "ready" });
  else warmUp(config.warm).then(() => say({ kind: "ready" }), fail);
}, 20);

function fail(error: unknown): void {
  if (leaving) return;
  console.error(error);
  process.exit(1);
}

async function warmUp(digest: string): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  for await (const progress of swarm.fetch(digest, { store: store.store, signal })) void progress;
}

async function fetchIt(): Promise<void> {
  const startedAt = Date.now();
  const start = performance.now();
  let half = false;
  let transferMs = 0;
  let reusedBytes = 0;
  const signal = AbortSignal.timeout(600_000);
  for await (const progress of swarm.fetch(config.digest, { store: store.store, signal })) {
    const { bytesDone, total } = progress;
    reusedBytes = progress.fromReuse;
    if (total > 0 && bytesDone >= total / 2 && !half) {
      half = true;
      say({ kind: "half" });
    }
    // Before the manifest is here both are 0.
    if (total > 0 && bytesDone === total && transferMs === 0)
      transferMs = performance.now() - start;
  }
  const syncedMs = performance.now() - start;
  const endedAt = startedAt + transferMs;
  const file = (await store.store.path(config.digest)) ?? "";
  say({ kind: "done", transferMs, syncedMs, endedAt, file, reusedBytes, ...usage() });
}

function usage(): { cpuSeconds: number; rssBytes: number } {
  const { user, system } = process.cpuUsage(before);
  return { cpuSeconds: (user + system) / 1e6, rssBytes: process.resourceUsage().maxRSS * 1024 };
}

function say(message: PeerMessage): void {
  process.send?.(message);
}
