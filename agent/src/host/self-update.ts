import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { HostFailureReason } from "@slipway/proto";
import type { VersionFiles } from "../launcher/version-files.js";
import type { ReleaseFailure } from "./wait-healthy.js";

/** How long the launcher has to end this agent for the next version. */
const TAKE_UP_MS = 60_000;

/** What is to be known to let a release of the agent take this agent's place. */
export interface SelfUpdateOptions {
  files: VersionFiles;
  /** Release that this agent is; undefined if it was not started by a launcher. */
  launchedRelease: string | undefined;
  /** Default: 60 s. */
  takeUpMs?: number;
}

/** Activates releases of the agent itself, by way of its launcher. */
export class SelfUpdate {
  readonly #options: SelfUpdateOptions;

  constructor(options: SelfUpdateOptions) {
    this.#options = options;
  }

  get launchedRelease(): string | undefined {
    return this.#options.launchedRelease;
  }

  /**
   * Has the launcher start a release in this agent's place: then this never returns but by the
   * signal. Undefined if this agent is that release; else why it is not to be.
   * @throws the signal's reason.
   */
  async activate(
    release: { name: string; folder: string; command: readonly string[] },
    generation: number,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { files, launchedRelease, takeUpMs = TAKE_UP_MS } = this.#options;
    if (launchedRelease === release.name) return undefined;
    if (launchedRelease === undefined) {
      return failure("this agent was not started by `slipway-agent launch`");
    }
    const failed = await files.read("failed");
    if (failed?.release === release.name && failed.generation === generation) {
      return failure(failed.message);
    }
    // The agent's command line, which follows, has paths that are relative to where it was started.
    const command = release.command.map((word) =>
      word.startsWith("./") ? path.resolve(release.folder, word) : word,
    );
    await files.write("next", { release: release.name, generation, command });
    await delay(takeUpMs, undefined, { signal });
    await files.dropNext();
    return failure(`the launcher has not taken it up in ${takeUpMs} ms`);
  }
}

function failure(message: string): ReleaseFailure {
  return { reason: HostFailureReason.START_FAILED, message };
}
