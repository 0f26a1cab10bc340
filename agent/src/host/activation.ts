import { HostFailureReason } from "@slipway/proto";
import type { Logger } from "../log.js";
import type { ReleaseRecord } from "./application-state.js";
import { killLeftHooks, runHook } from "./hooks.js";
import { resolveRelease, type ResolvedRelease } from "./launch.js";
import type { LogFile } from "./log-file.js";
import type { HostEnvironment } from "./release-environment.js";
import type { ReleaseFolders } from "./release-folders.js";
import { StartError } from "./release-process.js";
import { ReleaseSecrets, SecretError } from "./secrets.js";
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
  /** Of the release that was last looked at. */
  #secrets: { folder: string; values: ReleaseSecrets } | undefined;
  #logFrom = 0;
  #exitsFrom = 0;

  constructor(options: ActivatorOptions) {
    this.#options = options;
  }

  /**
   * Does all that can be done while what runs still runs: looks up the secrets, and runs the
   * pre-activate command. The answer says why the release cannot be activated.
   * @throws the signal's reason.
   */
  async prepare(record: ReleaseRecord, signal: AbortSignal): Promise<ReleaseFailure | undefined> {
    try {
      const { launch, preActivate } = this.resolve(record);
      await launch.secrets.lookUp();
      const { logFile } = this.#options;
      return (
        preActivate && (await runHook("pre-activate", preActivate, { launch, logFile, signal }))
      );
    } catch (error) {
      return startFailure(error);
    }
  }

  /** Runs the post-activate command of the release that is healthy. @throws the signal's reason. */
  async finish(record: ReleaseRecord, signal: AbortSignal): Promise<ReleaseFailure | undefined> {
    const { launch, postActivate } = this.resolve(record);
    const { logFile } = this.#options;
    return postActivate && runHook("post-activate", postActivate, { launch, logFile, signal });
  }

  /**
   * Stops what runs and starts the release; the answer says why it could not be started.
   * @param drain - What runs is drained before it is stopped; this ends the wait.
   * @throws the reason of `drain`; what runs goes on then, drained.
   */
  async switchTo(record: ReleaseRecord, drain?: AbortSignal): Promise<ReleaseFailure | undefined> {
    const { folders, supervisor } = this.#options;
    await supervisor.stop({ drain });
    await folders.switchTo(record.folder);
    return this.#start(record, (launch) => supervisor.start(launch));
  }

  /** The same for a release that was healthy before: if it cannot be started, it is tried again. */
  async returnTo(record: ReleaseRecord): Promise<ReleaseFailure | undefined> {
    const { folders, supervisor } = this.#options;
    await supervisor.stop();
    await folders.switchTo(record.folder);
    return this.#start(record, (launch) => supervisor.keep(launch));
  }

  /** Takes over the release's process from an earlier agent; false if it does not run. */
  async adopt(record: ReleaseRecord): Promise<boolean> {
    const { supervisor, log } = this.#options;
    let adopted = false;
    const failure = await this.#start(record, async (launch) => {
      adopted = await supervisor.adopt(launch);
      // It has them: without them nothing that it prints could be told anybody.
      if (adopted) await launch.secrets.lookUp().catch((err: unknown) => this.#noteUnknown(err));
    });
    if (failure !== undefined) {
      log.error({ failure, release: record.folder }, "running release can no longer be resolved");
    }
    return adopted;
  }

  #noteUnknown(err: unknown): void {
    this.#options.log.warn({ err }, "secrets of a running release cannot be looked up");
  }

  /** Ends what an earlier agent left running besides a release. */
  async killLeftHooks(): Promise<void> {
    const { folders, log } = this.#options;
    const killed = await killLeftHooks(folders.root);
    if (killed > 0) log.warn({ killed }, "hooks of an earlier agent were killed");
  }

  /** What a release is started by; or why that cannot be told. */
  command(record: ReleaseRecord): readonly string[] | ReleaseFailure {
    try {
      return this.resolve(record).launch.command;
    } catch (error) {
      return startFailure(error);
    }
  }

  /** Waits for the release that was started to be healthy. @throws the signal's reason. */
  async waitHealthy(
    record: ReleaseRecord,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { supervisor, logFile } = this.#options;
    const { launch, check } = this.resolve(record);
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
    this.countAnew();
    return failure;
  }

  /** Exits until now are of no account to whoever waits next. */
  countAnew(): void {
    this.#exitsFrom = this.#options.supervisor.exits;
  }

  /** Goes back to a release that was healthy before, or to nothing. Moves no bytes. */
  async putBack(record: ReleaseRecord | undefined): Promise<void> {
    const { folders, supervisor, log } = this.#options;
    if (record === undefined) {
      await supervisor.stop();
      await folders.switchToNone();
      return;
    }
    const failure = await this.returnTo(record);
    if (failure === undefined) log.warn({ release: record.folder }, "put back the release before");
    else log.error({ release: record.folder, failure }, "the release before cannot be started");
  }

  /** Stops what runs, drained unless the signal says that there is no time, and leads nowhere. */
  async end(drain: AbortSignal): Promise<void> {
    const { folders, supervisor } = this.#options;
    await supervisor.stop({ drain });
    await folders.switchToNone();
  }

  /** @throws StartError */
  resolve(record: ReleaseRecord): ResolvedRelease {
    const { host, application, folders } = this.#options;
    if (this.#secrets?.folder !== record.folder) {
      const references = record.release.run?.secrets ?? {};
      const values = new ReleaseSecrets(references, host.base);
      this.#secrets = { folder: record.folder, values };
    }
    return resolveRelease(host, application, record, {
      folder: folders.path(record.folder),
      secrets: this.#secrets.values,
    });
  }

  async #start(
    record: ReleaseRecord,
    start: (launch: ResolvedRelease["launch"]) => Promise<void>,
  ): Promise<ReleaseFailure | undefined> {
    try {
      const { launch } = this.resolve(record);
      this.#logFrom = await this.#options.logFile.size();
      this.#exitsFrom = 0;
      await start(launch);
      return undefined;
    } catch (error) {
      return startFailure(error);
    }
  }
}

/** Why a release cannot be started. @throws the error, if it is about something else. */
function startFailure(error: unknown): ReleaseFailure {
  if (!(error instanceof StartError)) throw error;
  return { reason: startFailureReason(error), message: error.message };
}

/** What kind of failure it is that a release was not started. */
export function startFailureReason(error: Error): HostFailureReason {
  return error instanceof SecretError
    ? HostFailureReason.SECRET_UNAVAILABLE
    : HostFailureReason.START_FAILED;
}
