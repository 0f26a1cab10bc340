import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { isAlive, processStartTime, type ProcessIdentity } from "../../process/identity.js";
import { errorCode } from "../../store/errors.js";
import { killStrays } from "./strays.js";

/** Sends a signal to a process group. False if there is none any more. */
export function killGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    // macOS says EPERM of a group in which there are only zombies left.
    const code = errorCode(error);
    if (code === "ESRCH" || code === "EPERM") return false;
    throw error;
  }
}

/** Files that name the process groups that run for a builder, for its next start after a crash. */
export class GroupRecords {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Notes a group that has just been started. Returns what forgets it again. */
  async add(pid: number): Promise<() => Promise<void>> {
    const startTime = await processStartTime(pid);
    if (startTime === undefined) return () => Promise.resolve();
    const leader: ProcessIdentity = { pid, startTime };
    const file = path.join(this.#directory, `${pid}.json`);
    await writeFile(file, JSON.stringify(leader));
    return () => rm(file, { force: true });
  }

  /**
   * Kills what a former process left running: the groups whose leaders still live, and all else
   * that has this in its environment (see killStrays). A number that another process has got since
   * is left alone. Returns how many groups and processes were killed.
   */
  async killLeftovers(variable: string): Promise<number> {
    await mkdir(this.#directory, { recursive: true });
    let killed = 0;
    for (const name of await readdir(this.#directory)) {
      const file = path.join(this.#directory, name);
      const leader = parse(await readFile(file, "utf8"));
      if (leader !== undefined && (await isAlive(leader)) && killGroup(leader.pid, "SIGKILL")) {
        killed += 1;
      }
      await rm(file, { force: true });
    }
    return killed + (await killStrays(variable));
  }
}

/** A record that was cut off while it was written is none. */
function parse(text: string): ProcessIdentity | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { pid, startTime } = value as Partial<Record<keyof ProcessIdentity, unknown>>;
  return typeof pid === "number" && pid > 1 && typeof startTime === "string"
    ? { pid, startTime }
    : undefined;
}
