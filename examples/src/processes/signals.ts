import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Whether the process runs. */
export function isAlive(pid: number): boolean {
  return send(pid, 0) && !isZombie(pid);
}

/** Ended, and not waited for yet: an orphan of a container whose first process does not bother. */
function isZombie(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return true;
  }
}

/** Signals the process group that `pid` leads, or the process alone if it leads none. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (!send(-pid, signal)) send(pid, signal);
}

/** Waits until none of the processes is alive, or `timeoutMs` have passed: then false. */
export async function waitUntilGone(pids: readonly number[], timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs;
  while (pids.some(isAlive)) {
    if (Date.now() >= end) return false;
    await delay(20);
  }
  return true;
}

function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ESRCH") return false;
    // There, but another user's.
    if (code === "EPERM") return true;
    throw error;
  }
}
