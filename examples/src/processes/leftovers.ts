import { execFile } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { isAlive, waitUntilGone } from "./signals.js";

const run = promisify(execFile);
const GRACE_MS = 2_000;
const ROUNDS = 5;

/**
 * Ends every process that works in `directory`: releases that a killed host agent left running,
 * build commands of a killed builder.
 * @param directory - Absolute, without symbolic links.
 */
export async function endLeftovers(directory: string): Promise<void> {
  // What is being ended may just have started something.
  for (let round = 0; round < ROUNDS; round++) {
    const pids = await processesIn(directory);
    if (pids.length === 0) return;
    signal(pids, "SIGCONT");
    signal(pids, "SIGTERM");
    await waitUntilGone(pids, GRACE_MS);
    signal(pids, "SIGKILL");
    await waitUntilGone(pids, GRACE_MS);
  }
}

/**
 * The processes, except this one, whose working directory is the directory or below it. Not those
 * with a terminal: what a fleet starts has none, but somebody who looks around in there has a shell.
 */
export async function processesIn(directory: string): Promise<number[]> {
  const found = process.platform === "linux" ? await fromProc() : await fromLsof();
  return found
    .filter(({ pid, cwd, terminal }) => {
      return pid !== process.pid && !terminal && isWithin(cwd, directory);
    })
    .map(({ pid }) => pid);
}

interface WorkingDirectory {
  pid: number;
  cwd: string;
  /** Whether its session has one. */
  terminal: boolean;
}

async function fromProc(): Promise<WorkingDirectory[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      try {
        // A removed directory says so behind its name.
        const cwd = (await readlink(`/proc/${pid}/cwd`)).replace(/ \(deleted\)$/, "");
        // Behind the name in brackets: state, parent, group, session, terminal (0 for none).
        const stat = await readFile(`/proc/${pid}/stat`, "latin1");
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return [{ pid: Number(pid), cwd, terminal: fields[4] !== "0" }];
      } catch {
        return []; // Ended meanwhile, or not ours to look at.
      }
    }),
  );
  return found.flat();
}

async function fromLsof(): Promise<WorkingDirectory[]> {
  const [said, terminals] = await Promise.all([lsof(), withTerminal()]);
  const found: WorkingDirectory[] = [];
  let pid = 0;
  for (const line of said.split("\n")) {
    if (line.startsWith("p")) pid = Number(line.slice(1));
    if (line.startsWith("n") && pid > 0) {
      found.push({ pid, cwd: line.slice(1), terminal: terminals.has(pid) });
    }
  }
  return found;
}

async function withTerminal(): Promise<Set<number>> {
  const { stdout } = await run("ps", ["-axo", "pid=,tty="], { timeout: 10_000 });
  const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/));
  return new Set(rows.filter(([, tty = ""]) => !/^[?-]*$/.test(tty)).map(([pid]) => Number(pid)));
}

async function lsof(): Promise<string> {
  const user = String(process.getuid?.() ?? 0);
  try {
    const args = ["-w", "-a", "-u", user, "-d", "cwd", "-Fpn"];
    return (await run("lsof", args, { timeout: 10_000, maxBuffer: 64 * 1024 * 1024 })).stdout;
  } catch (error) {
    // It exits 1 when it could not look at some process, and has printed the others.
    return (error as { stdout?: string }).stdout ?? "";
  }
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    if (!isAlive(pid)) continue;
    try {
      process.kill(pid, name);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ESRCH" && code !== "EPERM") throw error;
    }
  }
}

function isWithin(file: string, directory: string): boolean {
  return file === directory || file.startsWith(directory + path.sep);
}
