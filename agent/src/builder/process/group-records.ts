import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { signalGroup } from "../../process/group.js";
import {
  isAlive,
  parseIdentity,
  processStartTime,
  type ProcessIdentity,
} from "../../process/identity.js";
import { killStrays } from "../../process/strays.js";

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
      const leader = parseIdentity(await readFile(file, "utf8"));
      if (leader !== undefined && (await isAlive(leader)) && signalGroup(leader.pid, "SIGKILL")) {
        killed += 1;
      }
      await rm(file, { force: true });
    }
    return killed + (await killStrays(variable));
  }
}
