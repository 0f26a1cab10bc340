import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { goalKeyId, NatsLink, readGoalKeys, verifyGoal } from "@slipway/agent/host/following";
import {
  ApplicationGoal,
  GLOBAL_GOALS_BUCKET,
  Goal,
  GOAL_SIGNATURE_CONTEXT,
  SignedGoal,
  signedMessage,
} from "@slipway/proto";
import { pino } from "pino";
import { HostProcesses } from "./goal/host-processes.js";
import { monotonicMs } from "./goal/monotonic-clock.js";
import { type Region, startRegionAgent } from "./goal/region.js";
import type { BenchmarkOptions, Figures } from "./main.js";
import { median, quantile, round } from "./statistics.js";
import { syncLatencyMs } from "./sync-latency.js";

const HOSTS = 2_000;
const PROCESSES = 4;
const GOALS = 100;
const WARM_UP = 5;
const APPLICATION = "web";
/** Until all hosts are connected and have the first goal. */
const READY_MS = 120_000;
const TOLD_MS = 30_000;
/** Between two goals: what the last one set off is over. */
const PAUSE_MS = 200;
const VERIFIED = 500;

/**
 * From writing a global goal by compare-and-set to the last host of a region having it, through the
 * region's agent, a process of its own, and the region's KV. Every host is a connection of its own,
 * and what an agent follows goals by. It does not check the signature here, as 2,000 machines do
 * that at the same time and this one would one after the other; that is measured apart.
 */
export async function goal(options: BenchmarkOptions): Promise<Figures> {
  const hosts = Number(options.hosts ?? HOSTS);
  const goals = Number(options.runs ?? GOALS);
  const region = await startRegionAgent();
  const log = pino({ level: "silent" });
  const link = new NatsLink({ servers: [region.globalNats.url], name: "benchmark", log });
  const following = new HostProcesses(hosts, Math.min(PROCESSES, hosts), {
    nats: region.regionalNats.url,
    region: region.name,
  });
  try {
    const write = await goalWriter(link, region);
    await Promise.all([following.told(1, READY_MS), write(1)]);
    const last: number[] = [];
    const each: number[] = [];
    for (let generation = 2; generation < 2 + WARM_UP + goals; generation++) {
      options.signal.throwIfAborted();
      await delay(PAUSE_MS, undefined, { signal: options.signal });
      const told = following.told(generation, TOLD_MS);
      const begin = monotonicMs();
      const [times] = await Promise.all([told, write(generation)]);
      if (generation < 2 + WARM_UP) continue;
      const took = times.map((at) => at - begin);
      each.push(...took);
      last.push(Math.max(...took));
    }
    return {
      hosts,
      ms_p50: round(quantile(last, 0.5), 1),
      ms_p99: round(quantile(last, 0.99), 1),
      host_ms_p50: round(quantile(each, 0.5), 1),
      nats_rss_mb: await rssMb(region.regionalNats.pid),
      signature_ms: round(signatureMs(region), 3),
      beside: { sync_ms_p50: round(await syncLatencyMs()) },
    };
  } finally {
    await following.end();
    await link.stop();
    await region.stop();
  }
}

/** Writes generations of one application's goal, each on top of the one before. */
async function goalWriter(
  link: NatsLink,
  region: Region,
): Promise<(generation: number) => Promise<void>> {
  link.start();
  const deadline = performance.now() + TOLD_MS;
  while (link.connection === undefined) {
    if (performance.now() > deadline) throw new Error("the global nats cannot be reached");
    await delay(20);
  }
  const kv = await link.connection.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
  let revision = 0;
  return async (generation) => {
    const value = ApplicationGoal.fromPartial({
      application: APPLICATION,
      generation,
      deploymentId: `deployment-${generation}`,
      regions: { [region.name]: signedGoal(generation, region.name, region.goalKey) },
    });
    const bytes = ApplicationGoal.encode(value).finish();
    revision = await (revision === 0
      ? kv.create(APPLICATION, bytes)
      : kv.update(APPLICATION, bytes, revision));
  };
}

function signedGoal(generation: number, region: string, key: KeyObject): SignedGoal {
  const release = {
    buildId: `build-${generation}`,
    commitSha: "0".repeat(40),
    artifactDigest: `sha256:${"0".repeat(64)}`,
    artifactSizeBytes: 256 * 1024 ** 2,
    applicationRevision: 1,
    run: { command: ["./service"], environment: { PORT: "8080" } },
  };
  const content = Goal.fromPartial({
    application: APPLICATION,
    region,
    generation,
    issueTime: new Date(),
    deploymentId: `deployment-${generation}`,
    selector: { tier: "web" },
    bucketLimit: 10_000,
    run: release,
    previous: release,
  });
  const payload = Buffer.from(Goal.encode(content).finish());
  const message = signedMessage(GOAL_SIGNATURE_CONTEXT, payload);
  return { payload, signature: sign(null, message, key), keyId: goalKeyId(createPublicKey(key)) };
}

/** What checking a goal takes a host, in ms. */
function signatureMs({ name, goalKey, goalPublicKey }: Region): number {
  const keys = readGoalKeys([goalPublicKey]);
  const signed = Buffer.from(SignedGoal.encode(signedGoal(1, name, goalKey)).finish());
  const times = Array.from({ length: VERIFIED }, () => {
    const begin = performance.now();
    verifyGoal(signed, { application: APPLICATION, region: name, keys });
    return performance.now() - begin;
  });
  return median(times);
}

async function rssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "latin1");
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error(`process ${pid} has no resident set size`);
  return Math.round(Number(kib) / 1_000);
}
