import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { type Encryption, chunkFile } from "@slipway/agent/swarm";
import type { BenchmarkOptions, Figures } from "../main.js";
import { median, round } from "../statistics.js";
import { type Artifact, describeArtifact, makeArtifact } from "./artifact.js";
import { type ChunkSize, casyncMovedBytes } from "./casync.js";
import { runSwarm } from "./swarm-run.js";

const RUNS = 3;
const SIZE_BYTES = 256 * 1024 * 1024;
/** Of the bytes of a build, in so many places, is changed in the next. */
const CHANGED_SHARE = 0.03;
const PLACES = 8;
/** As we cut a build of this size. */
const OUR_SIZES: ChunkSize = `${256 * 1024}:${512 * 1024}:${1024 * 1024}`;

/**
 * A build, then the next with 3 % of its bytes changed in 8 places: 4 replaced, 2 inserted, 2 deleted.
 * A host that has the first fetches the second from a seeder. How much is moved of a full transfer,
 * and how fast a core cuts an artifact into chunks; beside it the same of casync.
 */
export async function delta({ encryption, profile }: BenchmarkOptions): Promise<Figures> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-bench-"));
  try {
    const before = await makeArtifact(dir, SIZE_BYTES);
    const runs: Awaited<ReturnType<typeof measure>>[] = [];
    for (let run = 0; run < RUNS; run++) {
      runs.push(await measure(dir, before, encryption === "none" ? "none" : "tls-psk", profile));
    }
    const of = (name: keyof (typeof runs)[number]): number =>
      round(median(runs.map((run) => run[name] ?? 0)), 3);
    const measured = runs[0]?.casync !== undefined;
    if (!measured) console.error("casync is not installed: not compared");
    const figures = ["bytes_moved_ratio", "bytes_reused_ratio", "transfer_ms"] as const;
    return {
      ...Object.fromEntries(figures.map((name) => [name, of(name)])),
      chunking_mb_per_s: of("chunking_mb_per_s"),
      beside: { sha256_mb_per_s: of("sha256_mb_per_s") },
      ...(measured && {
        peers: {
          casync: { bytes_moved_ratio: of("casync") },
          casync_default_sizes: { bytes_moved_ratio: of("casync_default") },
        },
      }),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** One next build, to a host of its own. */
async function measure(
  dir: string,
  before: Artifact,
  encryption: Encryption,
  profile: string | undefined,
) {
  const own = path.join(dir, "peers");
  const after = await change(before, path.join(dir, "next"));
  try {
    const options = { hosts: 1, encryption, dir: own, profile };
    await runSwarm({ ...options, artifact: before });
    const { hosts, seeder } = await runSwarm({ ...options, artifact: after });
    const [host] = hosts;
    if (host === undefined) throw new Error("no host");
    const content = await readFile(after.file);
    const sha256 = (): Buffer => createHash("sha256").update(content).digest();
    return {
      bytes_moved_ratio: seeder.bytesSent / after.sizeBytes,
      bytes_reused_ratio: host.reusedBytes / after.sizeBytes,
      transfer_ms: host.transferMs,
      chunking_mb_per_s: await mbPerCpuSecond(after.sizeBytes, () => chunkFile(after.file)),
      sha256_mb_per_s: await mbPerCpuSecond(after.sizeBytes, sha256),
      casync: await casyncRatio(dir, before, after, OUR_SIZES),
      casync_default: await casyncRatio(dir, before, after),
    };
  } finally {
    await rm(own, { recursive: true, force: true });
    await rm(after.file, { force: true });
  }
}

/** The next build: each eighth of it has one change, somewhere. */
async function change(before: Artifact, name: string): Promise<Artifact> {
  const content = await readFile(before.file);
  const file = await open(name, "w");
  const part = before.sizeBytes / PLACES;
  const bytes = Math.round(part * CHANGED_SHARE);
  for (let place = 0; place < PLACES; place++) {
    const start = place * part;
    const at = start + Math.floor(Math.random() * (part - bytes));
    // 0, 2, 4 and 6 are replaced, 1 and 5 deleted, 3 and 7 inserted.
    const inserted = place % 4 === 1 ? 0 : bytes;
    const removed = place % 4 === 3 ? 0 : bytes;
    await file.write(content.subarray(start, at));
    await file.write(randomBytes(inserted));
    await file.write(content.subarray(at + removed, start + part));
  }
  await file.close();
  return describeArtifact(name);
}

/** Megabytes a second of processor time, which is what one core does. */
async function mbPerCpuSecond(bytes: number, work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return bytes / (user + system);
}

async function casyncRatio(
  dir: string,
  before: Artifact,
  after: Artifact,
  chunkSize?: ChunkSize,
): Promise<number | undefined> {
  const moved = await casyncMovedBytes(dir, before.file, after.file, chunkSize);
  return moved === undefined ? undefined : moved / after.sizeBytes;
}
