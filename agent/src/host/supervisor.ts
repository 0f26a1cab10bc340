import path from "node:path";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import { killStrays } from "../process/strays.js";
import { Drain } from "./drain.js";
import type { LogFile } from "./log-file.js";
import { RecordFile } from "./record-file.js";
import {
  adoptProcess,
  killLeftovers,
  RELEASE_FOLDER_VARIABLE,
  startProcess,
  stopProcess,
  type Launch,
  type ProcessExit,
  type ProcessRecord,
  type ReleaseProcess,
} from "./release-process.js";
import { steadyNow } from "../steady-now.js";

const RESTART = { baseMs: 200, maxMs: 30_000 };
/** A process that ran this long is taken for well when it exits: its next restart is quick. */
const HEALTHY_MS = 30_000;
const ROTATE_EVERY_MS = 1_000;

interface SupervisorOptions {
  /** Where the running process is written down for the next agent. */
  recordFile: string;
  /** The folder in which all of the application's release folders are: see RELEASE_FOLDER_VARIABLE. */
  releases: string;
  logFile: LogFile;
  log: Logger;
  /** The release has exited, and is going to be started again. */
  onExit?: () => void;
}

/**
 * Keeps one release of an application running: restarts it with back-off when it exits, and finds
 * it again after the agent's own death. One owner calls its methods, one after the other.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #rotation: NodeJS.Timeout;
  readonly #record: RecordFile;
  #launch: Launch | undefined;
  #process: ReleaseProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #failuresInARow = 0;
  /** Rises with every start and stop, so that what is late knows that it is. */
  #epoch = 0;
  #rotating = false;
  #upSince = 0;
  #exits = 0;
  #lastExit: ProcessExit | undefined;
  #startError: Error | undefined;
  #drain: Drain | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#record = new RecordFile(options.recordFile, options.log);
    this.#rotation = setInterval(() => void this.#rotate(), ROTATE_EVERY_MS);
    this.#rotation.unref();
  }

  /** Name of the release that is kept running, be it between two runs; undefined if none is. */
  get release(): string | undefined {
    return this.#launch?.release;
  }

  /** How often it has exited since it was started or adopted. */
  get exits(): number {
    return this.#exits;
  }

  get lastExit(): ProcessExit | undefined {
    return this.#lastExit;
  }

  /** Whether it has exited since then and has not run well for a while again. */
  isUnsteady(exitsBefore: number): boolean {
    const runsWell = this.isUp && steadyNow() - this.#upSince >= HEALTHY_MS;
    return this.#exits > exitsBefore && !runsWell;
  }

  /** Whether a process is there at this moment, as opposed to the wait before a restart. */
  get isUp(): boolean {
    return this.#process !== undefined;
  }

  /**
   * Starts a release; any other must have been stopped before.
   * @throws StartError if the command cannot be started; nothing is supervised then.
   */
  async start(launch: Launch): Promise<void> {
    this.#begin(launch);
    try {
      await this.#spawn(launch, this.#epoch, await launch.secrets.values());
    } catch (error) {
      this.#launch = undefined;
      throw error;
    }
  }

  /** The same for a release that is known to be good: it is tried until it can be started. */
  async keep(launch: Launch): Promise<void> {
    this.#begin(launch);
    await this.#again(this.#epoch);
  }

  /** Takes over the release's process if an earlier agent left it running; false if not. */
  async adopt(launch: Launch): Promise<boolean> {
    const record = await this.#record.read();
    if (record?.release !== launch.release) return false;
    const process = await adoptProcess(record);
    if (process === undefined) return false;
    this.#begin(launch);
    this.#watch(process, this.#epoch);
    return true;
  }

  /** Ends what an earlier agent left running, if anything. */
  async stopLeftOver(stopTimeoutMs: number): Promise<void> {
    const record = await this.#record.read();
    if (record === undefined) await this.#killStrays();
    else await this.#end(record, stopTimeoutMs);
  }

  /**
   * Stops the release gracefully, then by force; nothing is supervised afterwards.
   * @param drain - Lets the release drain before; this ends the wait.
   * @throws the reason of `drain`; the release runs on, and drains on.
   */
  async stop({ drain }: { drain?: AbortSignal | undefined } = {}): Promise<void> {
    if (drain !== undefined) await this.#letDrain(drain);
    const launch = this.#launch;
    const process = this.#release();
    if (launch !== undefined && process !== undefined) {
      await this.#end(process.record, launch.stopTimeoutMs);
    }
  }

  /** Ends the run that there is, gracefully: the release is started again as after any exit. */
  async restart(): Promise<void> {
    const launch = this.#launch;
    const process = this.#process;
    if (launch === undefined || process === undefined || this.isDrained) return;
    await stopProcess(process.record, launch.stopTimeoutMs);
  }

  /** Whether the release was told to drain: it is not to be relied on any more. */
  get isDrained(): boolean {
    return this.#drain !== undefined;
  }

  /** Why the release is not there: its last start failed. It is tried again. */
  get startError(): Error | undefined {
    return this.#startError;
  }

  /** Lets go of the release, which runs on for the next agent to adopt. */
  leave(): void {
    this.#release();
    clearInterval(this.#rotation);
  }

  #begin(launch: Launch): void {
    this.#epoch += 1;
    this.#launch = launch;
    this.#exits = 0;
    this.#lastExit = undefined;
    this.#startError = undefined;
    this.#failuresInARow = 0;
  }

  #release(): ReleaseProcess | undefined {
    this.#epoch += 1;
    clearTimeout(this.#restart);
    this.#drain?.stop();
    this.#drain = undefined;
    const process = this.#process;
    process?.forget();
    this.#process = undefined;
    this.#launch = undefined;
    return process;
  }

  async #letDrain(signal: AbortSignal): Promise<void> {
    const launch = this.#launch;
    const process = this.#process;
    if (launch === undefined || process === undefined) return;
    const { timeMs, hook } = launch.drain;
    if (timeMs === 0 && hook === undefined) return;
    this.#drain ??= new Drain(launch, process.exited, this.#options);
    await this.#drain.wait(signal);
  }

  async #spawn(
    launch: Launch,
    epoch: number,
    secrets: Readonly<Record<string, string>>,
  ): Promise<void> {
    if (epoch !== this.#epoch) return;
    const process = await startProcess(launch, secrets, this.#options.logFile.path);
    this.#record.write(process.record);
    if (epoch !== this.#epoch) {
      // Stopped while it was being started.
      await this.#end(process.record, launch.stopTimeoutMs);
      return;
    }
    this.#options.log.info({ release: launch.release, pid: process.record.pid }, "release started");
    this.#watch(process, epoch);
  }

  #watch(process: ReleaseProcess, epoch: number): void {
    this.#process = process;
    this.#startError = undefined;
    const startedAt = steadyNow();
    this.#upSince = startedAt;
    process.exited
      .then((exit) => this.#onExit(process, exit, steadyNow() - startedAt, epoch))
      .catch((error: unknown) => {
        if (epoch === this.#epoch)
          this.#options.log.error({ err: error }, "lost sight of a release");
      });
  }

  async #onExit(
    process: ReleaseProcess,
    exit: ProcessExit,
    ranMs: number,
    epoch: number,
  ): Promise<void> {
    if (epoch !== this.#epoch) return;
    this.#process = undefined;
    this.#exits += 1;
    this.#lastExit = exit;
    this.#failuresInARow = ranMs >= HEALTHY_MS ? 0 : this.#failuresInARow + 1;
    const waitMs = backOffMs(this.#failuresInARow, RESTART);
    const { release } = process.record;
    this.#options.onExit?.();
    this.#options.log.warn({ release, exit, restartInMs: Math.round(waitMs) }, "release exited");
    try {
      await killLeftovers(process.record);
      await this.#killStrays();
    } catch (err) {
      this.#options.log.error({ err, release }, "what a release left running cannot be ended");
    }
    if (epoch === this.#epoch && !this.isDrained) this.#restartIn(waitMs, epoch);
  }

  #restartIn(waitMs: number, epoch: number): void {
    this.#restart = setTimeout(() => void this.#again(epoch), waitMs);
  }

  async #again(epoch: number): Promise<void> {
    const launch = this.#launch;
    if (epoch !== this.#epoch || launch === undefined) return;
    try {
      // They may have changed since the last start.
      await this.#spawn(launch, epoch, await launch.secrets.lookUp());
    } catch (error) {
      if (epoch !== this.#epoch) return;
      this.#startError = error as Error;
      this.#options.log.error(
        { err: error, release: launch.release },
        "release cannot be started again",
      );
      this.#failuresInARow += 1;
      this.#restartIn(backOffMs(this.#failuresInARow, RESTART), epoch);
    }
  }

  async #end(record: ProcessRecord, stopTimeoutMs: number): Promise<void> {
    const gone = await stopProcess(record, stopTimeoutMs);
    if (!gone) this.#options.log.error({ record }, "a release's process group outlives SIGKILL");
    await this.#killStrays();
    await this.#record.remove();
  }

  /** What left its group, or was started by an agent that ended before it could write it down. */
  async #killStrays(): Promise<void> {
    const folder = `${path.resolve(this.#options.releases)}${path.sep}`;
    const killed = await killStrays(`${RELEASE_FOLDER_VARIABLE}=${folder}`);
    if (killed > 0) this.#options.log.warn({ killed }, "processes outside of a group were killed");
  }

  async #rotate(): Promise<void> {
    if (this.#rotating || this.#launch === undefined) return;
    this.#rotating = true;
    try {
      await this.#options.logFile.rotate();
    } catch (error) {
      this.#options.log.error({ err: error }, "release log cannot be rotated");
    } finally {
      this.#rotating = false;
    }
  }
}
