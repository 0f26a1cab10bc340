import { execFile } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { errorCode } from "../store/errors.js";
import { processStartTime } from "./identity.js";
import { steadyNow } from "../steady-now.js";

const run = promisify(execFile);
const PS = { timeout: 5000, env: { PATH: "/bin:/usr/bin", LC_ALL: "C" }, maxBuffer: 64 << 20 };
/** A process that forks while it is looked for may be missed once. */
const PASSES = 3;
const GONE_MS = 2_000;

/**
 * Kills every process that was started with this in its environment, also those that left their
 * group. What a build starts inherits the variable, unless it clears its environment. macOS shows
 * no environment of its own programs (such as /bin/sh), so there some may be missed.
 * @param variable `NAME=VALUE`; with a slash at its end, any value that starts so.
 * @returns how many were killed; they, and their ports, are gone unless the kernel keeps them.
 */
export async function killStrays(variable: string): Promise<number> {
  const killed = new Set<number>();
  for (let pass = 0; pass < PASSES; pass++) {
    const found = (await processesWith(variable)).filter((pid) => !killed.has(pid));
    if (found.length === 0) break;
    for (const pid of found) if (kill(pid)) killed.add(pid);
  }
  const deadline = steadyNow() + GONE_MS;
  for (const pid of killed) {
    while ((await processStartTime(pid)) !== undefined && steadyNow() < deadline) await delay(10);
  }
  return killed.size;
}

async function processesWith(variable: string): Promise<number[]> {
  const fits = (entry: string): boolean =>
    variable.endsWith("/") ? entry.startsWith(variable) : entry === variable;
  if (process.platform !== "linux") {
    const { stdout } = await run("ps", ["-A", "-E", "-ww", "-o", "pid=,command="], PS);
    const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/));
    return rows.flatMap(([pid, ...words]) => (words.some(fits) ? [Number(pid)] : []));
  }
  const found: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    // Gone meanwhile, or another user's.
    const environment = await readFile(`/proc/${name}/environ`, "utf8").catch(() => "");
    if (environment.split("\0").some(fits)) found.push(Number(name));
  }
  return found;
}

function kill(pid: number): boolean {
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === "ESRCH" || code === "EPERM") return false;
    throw error;
  }
}
