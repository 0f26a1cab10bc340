import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { promisify } from "node:util";

const run = promisify(execFile);
const PS_TIMEOUT_MS = 5000;

/** A process, told apart from a later one that got the same number. */
export interface ProcessIdentity {
  pid: number;
  /** Opaque; the same as long as it is the same process. */
  startTime: string;
}

/** An identity, as JSON, that an earlier process wrote down; undefined if it was cut off. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { pid, startTime } = value as Record<string, unknown>;
  return typeof pid === "number" &&
    Number.isInteger(pid) &&
    pid > 0 &&
    typeof startTime === "string"
    ? { pid, startTime }
    : undefined;
}

/** A process, in a form that fits into a file's name. */
export function identityTag({ pid, startTime }: ProcessIdentity): string {
  return `${pid}.${createHash("sha256").update(startTime).digest("hex").slice(0, 16)}`;
}

/** True if the process with this tag still runs. */
export async function isTagAlive(tag: string): Promise<boolean> {
  const pid = Number(tag.split(".", 1)[0]);
  const startTime = await processStartTime(pid);
  return startTime !== undefined && identityTag({ pid, startTime }) === tag;
}

/** This process. */
export async function ownIdentity(): Promise<ProcessIdentity> {
  const startTime = await processStartTime(process.pid);
  if (startTime === undefined)
    throw new Error(`cannot read the start time of process ${process.pid}`);
  return { pid: process.pid, startTime };
}

/** True if that very process still runs (a zombie does not). */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await processStartTime(identity.pid)) === identity.startTime;
}

/** When a process started, on the clock that its system keeps for this; undefined if it is gone. */
export async function processStartTime(pid: number): Promise<string | undefined> {
  return process.platform === "linux" ? linuxStartTime(pid) : psStartTime(pid);
}

async function linuxStartTime(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => undefined);
  if (stat === undefined) return undefined;
  // The second field is the command in parentheses and may hold anything, so count from its end.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "latin1").catch(() => "");
  return `${fields[19]}@${boot.trim()}`;
}

async function psStartTime(pid: number): Promise<string | undefined> {
  try {
    const options = { timeout: PS_TIMEOUT_MS, env: { PATH: "/bin:/usr/bin", LC_ALL: "C" } };
    const { stdout } = await run("ps", ["-o", "stat=,lstart=", "-p", String(pid)], options);
    const match = /^\s*(\S+)\s+(.*\S)\s*$/.exec(stdout);
    return match === null || match[1]?.startsWith("Z") ? undefined : match[2];
  } catch (error) {
    // Exit code 1 without output: no such process.
    if (error instanceof Error && "code" in error && error.code === 1) return undefined;
    throw error;
  }
}
