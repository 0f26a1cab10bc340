// One peer of a swarm in a process of its own: it joins, then seeds or fetches, and tells its parent.
import { createPublicKey } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import process from "node:process";
import {
  join,
  openArtifactStore,
  readIdentity,
  type ArtifactSource,
  type SwarmOptions,
} from "@slipway/agent/swarm";
import { pino } from "pino";

/** What a peer is told when it starts. */
export interface PeerConfig extends Pick<SwarmOptions, "listen" | "bootstrap" | "encryption"> {
  identityFile: string;
  /** PEM. */
  membershipPublicKey: string;
  digest: string;
  /** A seeder's file and manifest; without it the peer fetches into `dir`. */
  seed?: { file: string; manifest: string };
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
      cpuSeconds: number;
      rssBytes: number;
    }
  | { kind: "usage"; cpuSeconds: number; rssBytes: number; bytesSent: number };

/** What a peer is told later. */
export type PeerOrder = "go" | "usage";

const config = JSON.parse(process.argv[2] ?? "") as PeerConfig;
const identity = await readIdentity(config.identityFile);
const store = await openArtifactStore(config.dir);
const swarm = await join({
  identity,
  membershipPublicKey: createPublicKey(config.membershipPublicKey),
  cell: "bench",
  listen: config.listen,
  bootstrap: config.bootstrap,
  runBootstrap: config.seed !== undefined,
  source: config.seed === undefined ? store : await fileSource(config.digest, config.seed),
  log: pino({ level: process.env["BENCH_LOG"] ?? "silent" }),
  encryption: config.encryption ?? "tls-psk",
});
let before = process.cpuUsage();
process.on("message", (order: PeerOrder) => {
  if (order === "usage") {
    say({ kind: "usage", ...usage(), bytesSent: swarm.stats.bytesSent });
    return;
  }
  before = process.cpuUsage();
  if (config.seed !== undefined) return;
  fetchIt().catch((error: unknown) => {
    if (leaving) return;
    console.error(error);
    process.exit(1);
  });
});
let leaving = false;
process.on("disconnect", () => {
  leaving = true;
  void swarm.close().then(() => process.exit(0));
});
const poll = setInterval(() => {
  if (config.seed === undefined && swarm.stats.neighbours < config.neighbours) return;
  clearInterval(poll);
  say({ kind: "ready" });
}, 20);

async function fetchIt(): Promise<void> {
  const startedAt = Date.now();
  const start = performance.now();
  let transferMs = 0;
  const signal = AbortSignal.timeout(600_000);
  for await (const { bytesDone, total } of swarm.fetch(config.digest, { store, signal })) {
    // Before the manifest is here both are 0.
    if (total > 0 && bytesDone === total && transferMs === 0)
      transferMs = performance.now() - start;
  }
  const syncedMs = performance.now() - start;
  say({ kind: "done", transferMs, syncedMs, endedAt: startedAt + transferMs, ...usage() });
}

function usage(): { cpuSeconds: number; rssBytes: number } {
  const { user, system } = process.cpuUsage(before);
  return { cpuSeconds: (user + system) / 1e6, rssBytes: process.resourceUsage().maxRSS * 1024 };
}

function say(message: PeerMessage): void {
  process.send?.(message);
}

async function fileSource(
  digest: string,
  seed: { file: string; manifest: string },
): Promise<ArtifactSource> {
  const manifestBytes = await readFile(seed.manifest);
  const file = await open(seed.file);
  const { size } = await file.stat();
  return {
    open: (asked) =>
      Promise.resolve(
        asked === digest
          ? {
              manifestBytes,
              sizeBytes: size,
              read: async (offset, length, into) => {
                const { bytesRead } = await file.read(into, 0, length, offset);
                if (bytesRead !== length) throw new Error(`short read at ${offset}`);
              },
              close: () => Promise.resolve(),
            }
          : undefined,
      ),
  };
}
