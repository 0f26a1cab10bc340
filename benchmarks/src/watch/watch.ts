import { readFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { startControlPlane } from "../control-plane.js";
import type { BenchmarkOptions, Figures } from "../main.js";
import { within } from "../queue/job-queue.js";
import { median, quantile, round } from "../statistics.js";
import { WatchedDeployment } from "./watched-deployment.js";
import { WatcherProcess } from "./watcher-process.js";

const REGIONS = ["r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8"];
const PROCESSES = 2;
const STREAMS_PER_CONNECTION = 100;
const SETTLE_MS = 3_000;
/** How often regions count, and how often they do to flood readers that do not read. */
const EVENT_MS = 1_000;
const FLOOD_MS = 260;

/**
 * Deployments watched by many through one coordinator process: how long an event takes to reach every
 * watcher, what a watcher costs, and whether all see the end; then with some more that never read.
 */
export async function watch(options: BenchmarkOptions): Promise<Figures> {
  const streams = Number(options.streams ?? 5_000);
  const seconds = Number(options.seconds ?? 20);
  const { signal } = options;
  const plane = await startControlPlane({ profile: options.profile });
  const processes: WatcherProcess[] = [];
  let watched: WatchedDeployment | undefined;
  try {
    watched = await WatchedDeployment.create(plane, REGIONS);
    await watched.publish();
    const idle = await settledRss(plane.pid);
    const base = {
      address: plane.address,
      deploymentId: watched.deployment.id,
      streamsPerConnection: STREAMS_PER_CONNECTION,
    };
    const open = async (count: number, isUnread: boolean): Promise<WatcherProcess[]> => {
      const shares = isUnread ? [count] : evenly(count, PROCESSES);
      const opened = shares.map((streams) => new WatcherProcess({ ...base, streams, isUnread }));
      processes.push(...opened);
      await Promise.all(opened.map((each) => each.next("open")));
      return opened;
    };
    const readers = await open(streams, false);
    const first = watched.publishedAt.size;
    await publishFor(watched, { seconds, everyMs: EVENT_MS, signal });
    const opened = await settledRss(plane.pid);
    const delivered = await times(readers, watched, first);

    await open(Math.ceil(streams / 10), true);
    const before = await settledRss(plane.pid);
    const second = watched.publishedAt.size;
    await publishFor(watched, { seconds, everyMs: FLOOD_MS, signal });
    const half = await rssMb(plane.pid);
    await publishFor(watched, { seconds, everyMs: FLOOD_MS, signal });
    const after = await rssMb(plane.pid);
    const flooded = await times(readers, watched, second);

    const ended = Promise.all(readers.map((each) => each.next("ended")));
    await watched.abort();
    const final = (await within("watchers ending", ended)).reduce(
      (all, each) => all + each.final,
      0,
    );
    return {
      streams,
      deliver_ms_p50: round(quantile(delivered, 0.5)),
      deliver_ms_p99: round(quantile(delivered, 0.99)),
      kb_per_stream: round(((opened - idle) * 1_024) / streams),
      lost: streams - final,
      rss_mb: round(opened),
      unread: {
        streams: Math.ceil(streams / 10),
        deliver_ms_p50: round(quantile(flooded, 0.5)),
        deliver_ms_p99: round(quantile(flooded, 0.99)),
        rss_mb_before: round(before),
        rss_mb_half: round(half),
        rss_mb_after: round(after),
      },
      beside: { load_average: round(loadavg()[0] ?? 0) },
    };
  } finally {
    await Promise.all(processes.map((each) => each.end()));
    await watched?.close();
    await plane.stop();
  }
}

async function publishFor(
  watched: WatchedDeployment,
  { seconds, everyMs, signal }: { seconds: number; everyMs: number; signal: AbortSignal },
): Promise<void> {
  const begin = performance.now();
  for (let at = 0; at < seconds * 1_000; at += everyMs) {
    await delay(Math.max(0, begin + at - performance.now()), undefined, { signal });
    await watched.publish();
  }
}

/** Of every event since the one, and every reader: milliseconds from publishing to receipt. */
async function times(
  readers: readonly WatcherProcess[],
  watched: WatchedDeployment,
  since: number,
): Promise<number[]> {
  const received = await Promise.all(readers.map((each) => each.received()));
  return received.flatMap((times) =>
    Object.entries(times).flatMap(([number, all]) => {
      const at = watched.publishedAt.get(Number(number)) ?? Number.NaN;
      return Number(number) > since ? all.map((time) => time - at) : [];
    }),
  );
}

/** What the process keeps once it has come to rest: the median of a few seconds. */
async function settledRss(pid: number): Promise<number> {
  const samples: number[] = [];
  for (let each = 0; each < 5; each++) {
    await delay(SETTLE_MS / 5);
    samples.push(await rssMb(pid));
  }
  return median(samples);
}

async function rssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
}

function evenly(count: number, parts: number): number[] {
  return Array.from(
    { length: parts },
    (_, part) => Math.floor(((part + 1) * count) / parts) - Math.floor((part * count) / parts),
  );
}
