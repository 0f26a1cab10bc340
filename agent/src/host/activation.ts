import { HostFailureReason } from "@slipway/proto";
import type { Logger } from "../log.js";
import type { ReleaseRecord } from "./application-state.js";
import { resolveLaunch } from "./launch.js";
import type { LogFile } from "./log-file.js";
import type { HostEnvironment } from "./release-environment.js";
import type { ReleaseFolders } from "./release-folders.js";
import { StartError } from "./release-process.js";
import type { Supervisor } from "./supervisor.js";
import { waitUntilHealthy, type ReleaseFailure } from "./wait-healthy.js";

export interface ActivatorOptions {
  application: string;
  host: HostEnvironment;
  folders: ReleaseFolders;
  supervisor: Supervisor;
  logFile: LogFile;
  log: Logger;
}

/** Switches an application from one release folder to another. */
export class Activator {
  readonly #options: ActivatorOptions;
  #logFrom = 0;
  #exitsFrom = 0;

  constructor(options: ActivatorOptions) {
    this.#options = options;
  }

  /** Stops what runs and starts the release; the answer says why it could not be started. */
  async switchTo(record: ReleaseRecord): Promise<ReleaseFailure | undefined> {
    const { folders, supervisor } = this.#options;
    await folders.switchTo(record.folder);
    await supervisor.stop();
    return this.start(record);
  }

  /** Starts the release that `current` leads to; nothing else runs. */
  async start(record: ReleaseRecord): Promise<ReleaseFailure | undefined> {
    const { supervisor, logFile } = this.#options;
    try {
      const { launch } = this.#resolve(record);
      this.#logFrom = await logFile.size();
      this.#exitsFrom = 0;
      await supervisor.start(launch);
      return undefined;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      return { reason: HostFailureReason.START_FAILED, message: error.message };
    }
  }

  /** Takes over the release's process from an earlier agent; false if it does not run. */
  async adopt(record: ReleaseRecord): Promise<boolean> {
    const { supervisor, logFile, log } = this.#options;
    try {
      const { launch } = this.#resolve(record);
      this.#logFrom = await logFile.size();
      this.#exitsFrom = 0;
      return await supervisor.adopt(launch);
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      log.error(
        { err: error, release: record.folder },
        "running release can no longer be resolved",
      );
      return false;
    }
  }

  /** Waits for the release that was started to be healthy. @throws the signal's reason. */
  async waitHealthy(
    record: ReleaseRecord,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { supervisor, logFile } = this.#options;
    const { launch, check } = this.#resolve(record);
    const failure = await waitUntilHealthy({
      supervisor,
      launch,
      check,
      logFile,
      logFrom: this.#logFrom,
      exitsFrom: this.#exitsFrom,
      signal,
    });
    // Whoever waits once more counts anew.
    this.#exitsFrom = supervisor.exits;
    return failure;
  }

  /** Goes back to a release that was healthy before, or to nothing. Moves no bytes. */
  async putBack(record: ReleaseRecord | undefined): Promise<void> {
    const { folders, supervisor, log } = this.#options;
    if (record === undefined) {
      await supervisor.stop();
      await folders.switchToNone();
      return;
    }
    const failure = await this.switchTo(record);
    if (failure === undefined) log.warn({ release: record.folder }, "put back the release before");
    else log.error({ release: record.folder, failure }, "the release before cannot be started");
  }

  #resolve(record: ReleaseRecord): ReturnType<typeof resolveLaunch> {
    const { host, application, folders } = this.#options;
    return resolveLaunch(host, application, record, folders.path(record.folder));
  }
}
