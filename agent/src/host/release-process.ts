import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { signalGroup } from "../process/group.js";
import { isAlive, processStartTime, type ProcessIdentity } from "../process/identity.js";
import { statIfThere } from "../store/files.js";
import type { ReleaseSecrets } from "./secrets.js";
import { steadyNow } from "../steady-now.js";

/**
 * Tells a release where its folder is, and the agent whose process it is that has this in its
 * environment.
 */
export const RELEASE_FOLDER_VARIABLE = "SLIPWAY_RELEASE_FOLDER";

/** How a release is started. */
export interface Launch {
  /** Name of the release folder, which stands for the release. */
  release: string;
  /** The release folder. */
  folder: string;
  /** In it, or itself. */
  workingDirectory: string;
  command: readonly string[];
  /** Without the secrets. */
  environment: Readonly<Record<string, string>>;
  secrets: ReleaseSecrets;
  /** Milliseconds between SIGTERM and SIGKILL. */
  stopTimeoutMs: number;
  /** What comes between being told to stop and SIGTERM. */
  drain: { timeMs: number; hook: Hook | undefined };
}

/** A command that a release brings along, with every ${NAME} replaced. */
export interface Hook {
  command: readonly string[];
  timeoutMs: number;
}

/** A process that can be recognised again by a later agent. */
export interface ProcessRecord extends ProcessIdentity {
  /** Name of its release folder. */
  release: string;
}

/** How a process ended; unknown for one that this agent did not start itself. */
export type ProcessExit = { code: number | null; signal: string | null } | "unknown";

export class StartError extends Error {
  override readonly name = "StartError";
}

const ADOPTED_POLL_MS = 1_000;
const GROUP_POLL_MS = 20;
/** A killed group that is still there after this long is in the kernel's hands. */
const KILL_WAIT_MS = 5_000;

/** One run of a release, in its own process group: started here or taken over. */
export interface ReleaseProcess {
  record: ProcessRecord;
  /** Settles when the process has ended. */
  exited: Promise<ProcessExit>;
  /** Ends the watch on an adopted process. */
  forget(): void;
}

/**
 * Starts the command with its output appended to the log file.
 * @param secrets - Values for the environment, by name.
 * @throws StartError if it cannot be started.
 */
export async function startProcess(
  launch: Launch,
  secrets: Readonly<Record<string, string>>,
  logPath: string,
): Promise<ReleaseProcess> {
  const [file, ...args] = launch.command;
  if (file === undefined || file === "") throw new StartError("the run command is empty");
  // Else it would seem that the command is missing.
  if (!((await statIfThere(launch.workingDirectory))?.isDirectory() ?? false)) {
    throw new StartError(`the working directory ${launch.workingDirectory} is not there`);
  }
  const output = openSync(logPath, "a", 0o600);
  let child;
  try {
    child = spawn(file, args, {
      cwd: launch.workingDirectory,
      env: {
        ...launch.environment,
        ...secrets,
        [RELEASE_FOLDER_VARIABLE]: path.resolve(launch.folder),
      },
      // A session of its own: the release outlives the agent, and is signalled as a group.
      detached: true,
      stdio: ["ignore", output, output],
    });
  } catch (error) {
    throw new StartError(`${file}: ${(error as Error).message}`, { cause: error });
  } finally {
    closeSync(output);
  }
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const { pid } = child;
  if (pid === undefined) {
    const [error] = (await once(child, "error")) as [Error];
    throw new StartError(`${file}: ${error.message}`, { cause: error });
  }
  child.on("error", () => {
    // Only kill() and send() fail after a start, and neither is used on this object.
  });
  child.unref();
  // A process that is gone already has no start time: any word will do, for nothing equals it.
  const startTime = (await processStartTime(pid)) ?? "gone";
  return { record: { pid, startTime, release: launch.release }, exited, forget: () => {} };
}

/** Takes over a process that an earlier agent started; undefined if it has ended. */
export async function adoptProcess(record: ProcessRecord): Promise<ReleaseProcess | undefined> {
  if (!(await isAlive(record))) return undefined;
  const controller = new AbortController();
  const watch = async (): Promise<ProcessExit> => {
    while (await isAlive(record)) {
      await delay(ADOPTED_POLL_MS, undefined, { signal: controller.signal, ref: false });
    }
    return "unknown";
  };
  const exited = watch();
  exited.catch(() => {
    // Forgotten: nobody waits any more.
  });
  return { record, exited, forget: () => controller.abort() };
}

/** SIGTERM to the group, then SIGKILL; returns when no member is left. */
export async function stopProcess(record: ProcessRecord, stopTimeoutMs: number): Promise<boolean> {
  if (!(await isOurGroup(record))) return true;
  signalGroup(record.pid, "SIGTERM");
  if (await groupGone(record.pid, stopTimeoutMs)) return true;
  return killLeftovers(record);
}

/** SIGKILL to what is left of the group; false if something stays even so. */
export async function killLeftovers(record: ProcessRecord): Promise<boolean> {
  if (!(await isOurGroup(record))) return true;
  signalGroup(record.pid, "SIGKILL");
  return groupGone(record.pid, KILL_WAIT_MS);
}

/**
 * A group keeps its leader's pid from being given out again, so a group whose leader is this very
 * process or has ended is ours. With another process under that pid, ours has no member left.
 */
async function isOurGroup(record: ProcessRecord): Promise<boolean> {
  const startTime = await processStartTime(record.pid);
  return (startTime === undefined || startTime === record.startTime) && signalGroup(record.pid, 0);
}

async function groupGone(leader: number, timeoutMs: number): Promise<boolean> {
  const deadline = steadyNow() + timeoutMs;
  while (signalGroup(leader, 0)) {
    if (steadyNow() >= deadline) return false;
    await delay(GROUP_POLL_MS);
  }
  return true;
}
