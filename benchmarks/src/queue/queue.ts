import { loadavg } from "node:os";
import { startPostgres } from "@slipway/examples/servers";
import { startControlPlane } from "../control-plane.js";
import type { BenchmarkOptions, Figures } from "../main.js";
import { mediansOf, round, type Sample } from "../statistics.js";
import { syncLatencyMs } from "../sync-latency.js";
import { loadFinishedBuilds } from "./finished-builds.js";
import { openGraphileWorker } from "./graphile-worker.js";
import type { JobQueue } from "./job-queue.js";
import { measure } from "./measure.js";
import { openPgBoss } from "./pg-boss.js";
import { openSlipway } from "./slipway-direct.js";
import { connectSlipway } from "./slipway-grpc.js";

const PEERS: Record<string, (url: string) => Promise<JobQueue>> = {
  "graphile-worker": openGraphileWorker,
  "pg-boss": openPgBoss,
};

/** One of those that are measured in turn. */
interface Contender {
  name: string;
  queue: JobQueue;
  heartbeat: boolean;
  samples: Sample[];
}

/**
 * The build queue, by itself and through a coordinator process, against peers on the same durable
 * Postgres; and by itself in a database with many finished builds. All in turn in each run.
 */
export async function queue(options: BenchmarkOptions): Promise<Figures> {
  const runs = Number(options.runs ?? 3);
  const jobs = Number(options.jobs ?? 10_000);
  const finished = Number(options.finished ?? 0);
  const peers = (options.peers ?? Object.keys(PEERS).join(",")).split(",").filter(Boolean);
  const contenders: Contender[] = [];
  const add = (name: string, queue: JobQueue, heartbeat: boolean): void => {
    contenders.push({ name, queue, heartbeat, samples: [] });
  };
  const ends: (() => Promise<void>)[] = [];
  try {
    const postgres = await startPostgres();
    ends.push(() => postgres.stop());
    const own = async (name: string): Promise<void> => {
      const url = await postgres.createDatabase(name);
      add(name, await openSlipway(url), true);
      if (name === "finished") await loadFinishedBuilds(url, finished);
    };
    await own("direct");
    if (finished > 0) await own("finished");
    const plane = await startControlPlane({ postgres, profile: options.profile });
    ends.push(() => plane.stop());
    add("grpc", await connectSlipway(plane.address), true);
    for (const name of peers) {
      const queue = await openPeer(name, await postgres.createDatabase(name));
      if (queue !== undefined) add(name, queue, false);
    }
    const beside: Sample[] = [];
    for (let run = 0; run < runs; run++) {
      for (const { queue, heartbeat, samples } of contenders) {
        options.signal.throwIfAborted();
        samples.push(await measure(queue, { jobs, heartbeat, signal: options.signal }));
      }
      beside.push({ sync_ms_p50: await syncLatencyMs(), load_average: loadavg()[0] ?? 0 });
    }
    return report(contenders, beside, finished);
  } finally {
    for (const { queue } of contenders) await queue.close();
    for (const end of ends.toReversed()) await end();
  }
}

/** Undefined, and said so, if it is not installed. */
async function openPeer(name: string, url: string): Promise<JobQueue | undefined> {
  const open = PEERS[name];
  if (open === undefined) throw new Error(`peers are ${Object.keys(PEERS).join(" and ")}`);
  try {
    return await open(url);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    console.error(`${name} is not installed: measured without it`);
    return undefined;
  }
}

function report(contenders: readonly Contender[], beside: Sample[], finished: number): Figures {
  const of = (name: string): Record<string, number> =>
    mediansOf(contenders.find((contender) => contender.name === name)?.samples ?? []);
  const peers = contenders.filter(({ name }) => name in PEERS);
  return {
    ...of("direct"),
    grpc: of("grpc"),
    ...(finished > 0
      ? { finished: { builds: finished, ...of("finished"), ...shares(contenders) } }
      : {}),
    peers: Object.fromEntries(peers.map(({ name }) => [name, of(name)])),
    beside: mediansOf(beside),
  };
}

/** Of the speed without finished builds, run by run. */
function shares(contenders: readonly Contender[]): Record<string, number> {
  const samplesOf = (wanted: string): Sample[] =>
    contenders.find(({ name }) => name === wanted)?.samples ?? [];
  const without = samplesOf("direct");
  const each = samplesOf("finished").map((sample, run) => {
    const names = Object.keys(sample).filter((name) => name.endsWith("_per_s"));
    return Object.fromEntries(
      names.map((name) => [
        name.replace("_per_s", "_share"),
        (sample[name] ?? NaN) / (without[run]?.[name] ?? NaN),
      ]),
    );
  });
  return Object.fromEntries(
    Object.entries(mediansOf(each)).map(([name, value]) => [name, round(value, 3)]),
  );
}
