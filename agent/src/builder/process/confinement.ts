import { access, constants } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import type { Logger } from "../../log.js";
import { findBuildUser, type BuildUser } from "./build-user.js";

/** What one process of a build may take. Undefined: as much as the builder itself. */
interface BuildLimits {
  /** Processor time, in seconds; all its threads together. */
  cpuSeconds?: number | undefined;
  /** Private writable memory, in bytes. */
  memoryBytes?: number | undefined;
  /** The largest file that it can write, in bytes. */
  fileBytes?: number | undefined;
  /** Processes and threads of the build's user, not only this build's; not asked of root. */
  processes?: number | undefined;
}

/** How build commands are kept in bounds. */
export interface Confinement {
  /** Whom they run as; undefined: as the builder does. */
  user: BuildUser | undefined;
  limits: BuildLimits;
  /** The programs that set the limits and take the way back to more rights; undefined: not there. */
  prlimit: string | undefined;
  setpriv: string | undefined;
}

/** How confinement is asked for. */
export interface ConfinementOptions {
  /** A user's name; undefined: the first there is of slipway-build and nobody. Only root can switch. */
  user: string | undefined;
  /** Root runs builds as itself. */
  asRoot: boolean;
  /** What is undefined has a default. */
  limits: BuildLimits;
}

/** As spawn takes it. */
interface ConfinedCommand {
  command: readonly string[];
  uid?: number;
  gid?: number;
}

/** No confinement at all. */
export const UNCONFINED: Confinement = {
  user: undefined,
  limits: {},
  prlimit: undefined,
  setpriv: undefined,
};

const CPU_GRACE_SECONDS = 5;

/** What was asked for; else bounds that no honest build meets before it harms others here. */
function withDefaults(asked: BuildLimits, slots: number): BuildLimits {
  const share = Math.floor((0.8 * os.totalmem()) / slots);
  return {
    cpuSeconds: asked.cpuSeconds ?? 24 * 3_600,
    memoryBytes: asked.memoryBytes ?? Math.max(2 * 1024 ** 3, share),
    fileBytes: asked.fileBytes ?? 64 * 1024 ** 3,
    processes: asked.processes ?? 4_096,
  };
}

/**
 * Finds what is needed to confine builds on this machine, and says in the log what can't be.
 * @throws Error with what to do, if the user is not there or cannot be switched to.
 */
export async function prepareConfinement(
  { user: name, asRoot, limits }: ConfinementOptions,
  { slots, searchPath, log }: { slots: number; searchPath: string; log: Logger },
): Promise<Confinement> {
  const root = process.getuid?.() === 0;
  if (!root && name !== undefined) {
    throw new Error(`--build-user ${name} needs a builder that runs as root, to switch to it`);
  }
  const user = root && !asRoot ? await findBuildUser(name) : undefined;
  if (root && asRoot) log.warn("builds run as root: whoever can merge code owns this machine");
  const linux = process.platform === "linux";
  const prlimit = linux ? await findProgram("prlimit", searchPath) : undefined;
  const setpriv = linux ? await findProgram("setpriv", searchPath) : undefined;
  if (prlimit === undefined) {
    log.warn({ platform: process.platform }, "no prlimit: builds have no limits but their timeout");
  }
  return { user, limits: withDefaults(limits, slots), prlimit, setpriv };
}

/** The command, run within bounds. */
export function confine(command: readonly string[], confinement: Confinement): ConfinedCommand {
  const { user, limits, prlimit, setpriv } = confinement;
  let confined = command;
  if (prlimit !== undefined)
    confined = [prlimit, ...limitArguments(limits, user), "--", ...confined];
  if (user === undefined) return { command: confined };
  if (setpriv !== undefined) confined = [setpriv, "--no-new-privs", "--", ...confined];
  return { command: confined, uid: user.uid, gid: user.gid };
}

function limitArguments(limits: BuildLimits, user: BuildUser | undefined): string[] {
  const { cpuSeconds, memoryBytes, fileBytes, processes } = limits;
  const values = {
    core: 0,
    // First SIGXCPU, which tells what it was; SIGKILL for who does not listen.
    cpu: cpuSeconds === undefined ? undefined : `${cpuSeconds}:${cpuSeconds + CPU_GRACE_SECONDS}`,
    data: memoryBytes,
    fsize: fileBytes,
    // Without a user of their own, builds would be counted together with all else that one runs.
    nproc: user === undefined ? undefined : processes,
  };
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}=${value}`],
  );
}

async function findProgram(name: string, searchPath: string): Promise<string | undefined> {
  for (const folder of [...searchPath.split(path.delimiter), "/usr/bin", "/bin"]) {
    const file = path.join(folder, name);
    if (path.isAbsolute(file) && (await isExecutable(file))) return file;
  }
  return undefined;
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
