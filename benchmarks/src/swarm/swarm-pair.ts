import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { BenchmarkOptions, Figures } from "../main.js";
import { median, round } from "../statistics.js";
import { makeArtifact } from "./artifact.js";
import { hyperswarmStreamMbPerS } from "./hyperswarm-stream.js";
import { rawTcpMbPerS } from "./raw-tcp.js";
import { runSwarm, type SwarmRun } from "./swarm-run.js";

const RUNS = 3;
const MIB = 1024 * 1024;
const SIZE_BYTES = 1024 * MIB;

/**
 * One seeder and one host on loopback: found, verified, written and (after the time is taken) synced;
 * encrypted, and over plain TCP. Beside it, what plain TCP between two Node processes moves, and one
 * stream of Hyperswarm's.
 */
export async function swarmPair({ profile }: BenchmarkOptions): Promise<Figures> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-bench-"));
  try {
    const artifact = await makeArtifact(dir, SIZE_BYTES);
    const encrypted: SwarmRun[] = [];
    const plain: SwarmRun[] = [];
    const tcp: number[] = [];
    const stream: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      for (const [encryption, runs] of [
        ["tls-psk", encrypted],
        ["none", plain],
      ] as const) {
        const own = path.join(dir, `${encryption}-${run}`);
        runs.push(await runSwarm({ artifact, hosts: 1, encryption, dir: own, profile }));
        await rm(own, { recursive: true });
      }
      tcp.push(await rawTcpMbPerS(artifact.file));
      stream.push(await hyperswarmStreamMbPerS());
    }
    const figures = figuresOf(encrypted);
    const plainFigures = figuresOf(plain);
    return {
      ...figures,
      plain_mb_per_s: plainFigures.mb_per_s,
      plain_cpu_s_per_gb_send: plainFigures.cpu_s_per_gb_send,
      plain_cpu_s_per_gb_receive: plainFigures.cpu_s_per_gb_receive,
      vs_tcp: round(figures.mb_per_s / median(tcp)),
      vs_hyperswarm_stream: round(figures.mb_per_s / median(stream)),
      beside: {
        tcp_mb_per_s: Math.round(median(tcp)),
        hyperswarm_stream_mb_per_s: Math.round(median(stream)),
      },
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function figuresOf(runs: readonly SwarmRun[]) {
  const gb = SIZE_BYTES / 1e9;
  const of = (pick: (run: SwarmRun, host: SwarmRun["hosts"][number]) => number): number =>
    round(median(runs.flatMap((run) => run.hosts.map((host) => pick(run, host)))));
  return {
    mb_per_s: of((_, { transferMs }) => SIZE_BYTES / 1e6 / (transferMs / 1000)),
    synced_mb_per_s: of((_, { syncedMs }) => SIZE_BYTES / 1e6 / (syncedMs / 1000)),
    cpu_s_per_gb_send: of(({ seeder }) => seeder.cpuSeconds / gb),
    cpu_s_per_gb_receive: of((_, { cpuSeconds }) => cpuSeconds / gb),
    rss_max_mb: of((run, host) => Math.max(run.seeder.rssBytes, host.rssBytes) / 1e6),
  };
}
