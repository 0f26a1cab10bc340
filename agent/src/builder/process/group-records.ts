import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { isAlive, processStartTime } from "../../process/identity.js";
import { errorCode } from "../../store/errors.js";
import { groupHasVariable } from "./group-members.js";

interface GroupRecord {
  /** Of the leader, and so of the group. */
  pid: number;
  /** Empty if it had ended before it could be read. */
  startTime: string;
  /** `NAME=VALUE` in the environment of the group's processes; empty for none. */
  variable: string;
}

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
  async add(pid: number, variable: string): Promise<() => Promise<void>> {
    const startTime = (await processStartTime(pid)) ?? "";
    const record: GroupRecord = { pid, startTime, variable };
    const file = path.join(this.#directory, `${pid}.json`);
    await writeFile(file, JSON.stringify(record));
    return () => rm(file, { force: true });
  }

  /**
   * Kills the groups that a former process left running, and forgets them. A number that another
   * process has got since is left alone. Returns how many were killed.
   */
  async killLeftovers(): Promise<number> {
    await mkdir(this.#directory, { recursive: true });
    let killed = 0;
    for (const name of await readdir(this.#directory)) {
      const file = path.join(this.#directory, name);
      const record = parse(await readFile(file, "utf8"));
      if (record !== undefined && (await isOurs(record)) && killGroup(record.pid, "SIGKILL")) {
        killed += 1;
      }
      await rm(file, { force: true });
    }
    return killed;
  }
}

async function isOurs({ pid, startTime, variable }: GroupRecord): Promise<boolean> {
  if (startTime !== "" && (await isAlive({ pid, startTime }))) return true;
  return variable !== "" && groupHasVariable(pid, variable);
}

/** A record that was cut off while it was written is none. */
function parse(text: string): GroupRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { pid, startTime, variable } = value as Partial<Record<keyof GroupRecord, unknown>>;
  return typeof pid === "number" && pid > 1 && typeof startTime === "string"
    ? { pid, startTime, variable: typeof variable === "string" ? variable : "" }
    : undefined;
}
