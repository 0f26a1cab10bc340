import { mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { BenchmarkOptions, Figures } from "../main.js";
import { SkippedError } from "../skipped.js";
import { round } from "../statistics.js";
import { makeArtifact } from "./artifact.js";
import { runSwarm } from "./swarm-run.js";

const GIB = 1024 ** 3;
const HOSTS = 2;
/** Left free beside the artifact and each host's copy. */
const SPARE_BYTES = 2 * GIB;

/**
 * A real artifact of 10 GiB (or `--mib`) from one seeder to two hosts on loopback, once: whether
 * memory stays flat whatever the size.
 */
export async function swarm10Gb(options: BenchmarkOptions): Promise<Figures> {
  const { mib = "10240", encryption, profile, signal } = options;
  const sizeBytes = Number(mib) * 1024 * 1024;
  const parent = options.dir ?? tmpdir();
  const { bavail, bsize } = await statfs(parent);
  const needed = sizeBytes * (HOSTS + 1) + SPARE_BYTES;
  if (bavail * bsize < needed) {
    const gib = (bytes: number): string => `${round(bytes / GIB)} GiB`;
    throw new SkippedError(`${gib(bavail * bsize)} are free in ${parent}, of ${gib(needed)}`);
  }
  const dir = await mkdtemp(path.join(parent, "slipway-bench-"));
  try {
    const artifact = await makeArtifact(dir, sizeBytes);
    signal.throwIfAborted();
    const { hosts, seeder } = await runSwarm({
      artifact,
      hosts: HOSTS,
      encryption: encryption === "none" ? "none" : "tls-psk",
      dir,
      profile,
    });
    const slowestMs = Math.max(...hosts.map(({ transferMs }) => transferMs));
    const cpuSeconds = hosts.reduce((sum, host) => sum + host.cpuSeconds, 0) / hosts.length;
    const rss = [seeder, ...hosts].map(({ rssBytes }) => rssBytes);
    return {
      size_mb: round(sizeBytes / 1e6),
      mb_per_s: round(sizeBytes / 1e3 / slowestMs),
      cpu_s_per_gb_host: round(cpuSeconds / (sizeBytes / 1e9)),
      seeder_copies: round(seeder.bytesSent / sizeBytes),
      rss_max_mb: round(Math.max(...rss) / 1e6),
      rss_seeder_mb: round(seeder.rssBytes / 1e6),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
