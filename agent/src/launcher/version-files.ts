import { rm } from "node:fs/promises";
import path from "node:path";
import { writeAtomically } from "../atomic-file.js";
import { makeDirectory } from "../process/data-directory.js";
import { readIfThere } from "../store/files.js";

/** A release of the agent itself, and how it is started. */
export interface AgentVersion {
  /** Name of its release folder. */
  release: string;
  /** Of the goal that brought it. */
  generation: number;
  /** The program and its first arguments, with absolute paths. */
  command: string[];
}

/** That a version did not confirm that it works. */
export interface FailedVersion extends AgentVersion {
  message: string;
}

/** Where the agent and its launcher leave word for each other. */
export class VersionFiles {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = path.join(dataDir, "agent");
  }

  async prepare(): Promise<void> {
    await makeDirectory(this.#folder, 0o755);
  }

  /** `next` is to be tried, `current` has confirmed, `failed` did not. */
  read(which: "next" | "current"): Promise<AgentVersion | undefined>;
  read(which: "failed"): Promise<FailedVersion | undefined>;
  async read(which: string): Promise<AgentVersion | undefined> {
    const text = (await readIfThere(this.#file(`${which}.json`)))?.toString();
    return text === undefined ? undefined : parseVersion(text);
  }

  async write(which: "next" | "current" | "failed", version: AgentVersion): Promise<void> {
    await writeAtomically(this.#file(`${which}.json`), JSON.stringify(version));
  }

  async dropNext(): Promise<void> {
    await rm(this.#file("next.json"), { force: true });
  }

  /** The agent that was started with this token works. */
  async confirm(token: string): Promise<void> {
    await writeAtomically(this.#file("confirmed"), token);
  }

  async isConfirmed(token: string): Promise<boolean> {
    return (await readIfThere(this.#file("confirmed")))?.toString() === token;
  }

  #file(name: string): string {
    return path.join(this.#folder, name);
  }
}

/** Undefined for what is none: a disk that was full, or somebody's hand. */
function parseVersion(text: string): FailedVersion | undefined {
  try {
    const version = JSON.parse(text) as Partial<FailedVersion>;
    const { release, generation, command, message = "" } = version;
    const words = Array.isArray(command) && command.every((word) => typeof word === "string");
    if (typeof release !== "string" || typeof generation !== "number" || !words) return undefined;
    return { release, generation, command, message };
  } catch {
    return undefined;
  }
}
