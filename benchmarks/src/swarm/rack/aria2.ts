import { type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, link, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SkippedError } from "../../skipped.js";
import { command } from "./command.js";
import { connectionsOf } from "./connections.js";
import type { Contender, Course, LineUp } from "./contender.js";
import { endProgram, pidOf, startIn } from "./program.js";
import { makeTorrent } from "./torrent.js";
import type { Announced } from "./tracker.js";

const PORT = 6881;
const TRACKER_PORT = 6969;
const POLL_MS = 20;
const MESH = 8;
const MESH_MS = 15_000;
const ANNOUNCE_MS = 15_000;

/**
 * aria2c, which finds peers through a tracker on a link without a rate. Hosts are up, announced and
 * connected before the start. The seeder then starts; the clock does when the seeder's first
 * announcement reaches the tracker, so what it does before costs it nothing. A host's end is when
 * aria2 runs its completion hook.
 */
export async function aria2(): Promise<Contender> {
  await command("aria2c", ["--version"]).catch(() => {
    throw new SkippedError("aria2c is not installed (Debian: aria2)");
  });
  return { lineUp };
}

async function lineUp(course: Course): Promise<LineUp> {
  const { network, hosts, service, artifact, dir } = course;
  const children: ChildProcess[] = [];
  const end = async (): Promise<void> => {
    await Promise.all(children.map(endProgram));
  };
  try {
    const tracker = await startTracker(course);
    children.push(tracker);
    const torrent = path.join(dir, "torrent");
    const announce = `http://${network.address(service)}:${TRACKER_PORT}/announce`;
    await makeTorrent(artifact.file, announce, torrent);
    const hook = path.join(dir, "hook.sh");
    await writeFile(hook, '#!/bin/sh\ndate +%s%3N > "$DONE.new" && mv "$DONE.new" "$DONE"\n');
    await chmod(hook, 0o755);

    const start = async (index: number, ...more: string[]): Promise<number> => {
      const own = path.join(dir, `${index}`);
      await mkdir(own, { recursive: true });
      if (index === 0) await link(artifact.file, path.join(own, path.basename(artifact.file)));
      const args = [...settings(own), ...more, torrent];
      const env = { ...process.env, DONE: path.join(own, "done") };
      const child = startIn(network.namespace(index), ["aria2c", ...args], {
        stdio: "inherit",
        env,
      });
      children.push(child);
      return pidOf(child);
    };
    const announced = heard(tracker);
    const numbers = Array.from({ length: hosts }, (_, index) => index + 1);
    const pids = await Promise.all(
      numbers.map((index) => start(index, `--on-bt-download-complete=${hook}`)),
    );
    await Promise.all(numbers.map((index) => announced(network.address(index))));
    await meshed(pids);
    return {
      hosts: pids,
      go: async () => {
        await start(0, "--bt-seed-unverified=true");
        const startedAt = await announced(network.address(0));
        return {
          startedAt,
          ends: numbers.map((index) => finished(path.join(dir, `${index}`), children)),
        };
      },
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Fastest of what it can be told: no limits, nothing looked for elsewhere, nothing allocated. */
function settings(dir: string): string[] {
  return [
    "--no-conf",
    "--quiet",
    "--disable-ipv6=true",
    "--enable-dht=false",
    "--enable-dht6=false",
    "--bt-enable-lpd=false",
    "--enable-peer-exchange=true",
    "--bt-min-crypto-level=plain",
    "--bt-max-peers=0",
    "--file-allocation=none",
    "--disk-cache=64M",
    "--seed-ratio=0.0",
    "--summary-interval=0",
    "--auto-save-interval=0",
    `--listen-port=${PORT}`,
    `--dir=${dir}`,
    `--stop-with-process=${process.pid}`,
  ];
}

async function startTracker({ network, service }: Course): Promise<ChildProcess> {
  const script = fileURLToPath(new URL("tracker.js", import.meta.url));
  const address = network.address(service);
  const tracker = startIn(
    network.namespace(service),
    [process.execPath, script, address, `${TRACKER_PORT}`],
    { stdio: ["ignore", "inherit", "inherit", "ipc"] },
  );
  await once(tracker, "message", { signal: AbortSignal.timeout(ANNOUNCE_MS) });
  return tracker;
}

/** When each address was first heard of, by Date.now; from now on. */
function heard(tracker: ChildProcess): (host: string) => Promise<number> {
  const times = new Map<string, number>();
  // Every host is waited for.
  tracker.setMaxListeners(0);
  tracker.on("message", ({ host }: Announced) => {
    if (!times.has(host)) times.set(host, Date.now());
  });
  return async (host) => {
    const limit = AbortSignal.timeout(ANNOUNCE_MS);
    while (!times.has(host)) await once(tracker, "message", { signal: limit });
    return times.get(host) ?? Number.NaN;
  };
}

/** As connected as our own hosts are, or as they get in a while. */
async function meshed(pids: readonly number[]): Promise<void> {
  const wanted = Math.min(MESH, pids.length - 1);
  for (const end = Date.now() + MESH_MS; Date.now() < end; await delay(POLL_MS * 5)) {
    const counts = await Promise.all(pids.map((pid) => connectionsOf(pid, TRACKER_PORT)));
    if (counts.every((count) => count >= wanted)) return;
  }
  console.error("aria2 starts with fewer connections than ours");
}

async function finished(dir: string, children: readonly ChildProcess[]): Promise<number> {
  for (;;) {
    const said = await readFile(path.join(dir, "done"), "utf8").catch(() => undefined);
    if (said !== undefined) return Number(said);
    if (children.some(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null)) {
      throw new Error("aria2 ended early");
    }
    await delay(POLL_MS);
  }
}
