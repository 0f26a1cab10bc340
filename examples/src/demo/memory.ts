import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { LocalFleet } from "../local-fleet/fleet.js";

const run = promisify(execFile);

interface ProcessMemory {
  pid: number;
  parent: number;
  /** Resident, in bytes. */
  resident: number;
}

/** What one process of a kind has in memory; of Postgres, all of its processes together. */
export interface KindMemory {
  kind: string;
  count: number;
  /** The median, in bytes. */
  resident: number;
}

/** What the fleet's processes have in memory now. */
export async function fleetMemory(fleet: LocalFleet): Promise<KindMemory[]> {
  const processes = await (process.platform === "linux" ? fromProc() : fromPs());
  const kinds = new Map<string, number[]>();
  for (const { kind, pid } of fleet.processes.values()) {
    const found = processes.find((each) => each.pid === pid);
    if (found === undefined) continue;
    kinds.set(kind, [...(kinds.get(kind) ?? []), found.resident]);
  }
  kinds.set("postgres, together", [withChildren(processes, fleet.postgres.pid)]);
  kinds.set("nats-server", [withChildren(processes, fleet.nats.pid)]);
  return [...kinds].map(([kind, sizes]) => ({
    kind,
    count: sizes.length,
    resident: median(sizes),
  }));
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function withChildren(processes: readonly ProcessMemory[], pid: number): number {
  return processes
    .filter((each) => each.pid === pid || each.parent === pid)
    .reduce((total, { resident }) => total + resident, 0);
}

async function fromProc(): Promise<ProcessMemory[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const read = pids.map(async (pid) => {
    const text = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
    return { pid: Number(pid), parent: field("PPid"), resident: field("VmRSS") * 1024 };
  });
  return Promise.all(read);
}

async function fromPs(): Promise<ProcessMemory[]> {
  const { stdout } = await run("ps", ["-axo", "pid=,ppid=,rss="], { timeout: 10_000 });
  return stdout
    .trim()
    .split("\n")
    .map((line) => {
      const [pid = 0, parent = 0, kibibytes = 0] = line.trim().split(/\s+/).map(Number);
      return { pid, parent, resident: kibibytes * 1024 };
    });
}
