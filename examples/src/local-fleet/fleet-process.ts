import { mkdir } from "node:fs/promises";
import path from "node:path";
import { type Child, type Exit, startChild } from "../processes/child.js";
import type { ProcessKind, ProcessPlan } from "./command-lines.js";
import { dataFolder } from "./files.js";

export interface FleetProcessOptions extends ProcessPlan {
  /** The fleet's directory. */
  dir: string;
  /** The program's JavaScript file. */
  program: string;
  env: NodeJS.ProcessEnv;
  /** Called when it ends without having been told to by `stop` or `kill`. */
  onUnexpectedExit: (process: FleetProcess, exit: Exit) => void;
}

/** One process of the fleet, which may be started again after it has ended. */
export class FleetProcess {
  readonly kind: ProcessKind;
  readonly name: string;
  readonly logFile: string;
  /** Of every start. */
  readonly args: readonly string[];
  /** After those, from the next start on. */
  moreArgs: readonly string[] = [];
  readonly #options: FleetProcessOptions;
  #child: Child | undefined;
  #expected = false;

  constructor(options: FleetProcessOptions) {
    this.#options = options;
    this.kind = options.kind;
    this.name = options.name;
    this.args = options.args;
    this.logFile = path.join(options.dir, "logs", `${options.name}.log`);
  }

  /** Of the process that runs now; undefined if none does. */
  get pid(): number | undefined {
    return this.#child?.exit === undefined ? this.#child?.pid : undefined;
  }

  /** @throws Error if it runs, or cannot be started. */
  async start(): Promise<void> {
    if (this.pid !== undefined) throw new Error(`${this.name} runs already`);
    const { dir, name, program, env } = this.#options;
    const cwd = dataFolder(dir, name);
    await mkdir(cwd, { recursive: true });
    await mkdir(path.dirname(this.logFile), { recursive: true });
    this.#expected = false;
    const child = await startChild({
      name,
      command: process.execPath,
      args: [program, ...this.args, ...this.moreArgs],
      cwd,
      env,
      logFile: this.logFile,
    });
    this.#child = child;
    void child.exited.then((exit) => {
      if (!this.#expected) this.#options.onUnexpectedExit(this, exit);
    });
  }

  /** Asks it to end, and kills it after `timeoutMs`. Nothing happens if it does not run. */
  async stop(timeoutMs = 10_000): Promise<void> {
    this.#expected = true;
    await this.#child?.stop(timeoutMs);
  }

  /** SIGKILL, to the process alone: what it started lives on. */
  async kill(): Promise<void> {
    this.#expected = true;
    this.#child?.signal("SIGKILL");
    await this.#child?.stop();
  }

  /** Stops its clock, as a machine that hangs. */
  pause(): void {
    this.#child?.signal("SIGSTOP");
  }

  resume(): void {
    this.#child?.signal("SIGCONT");
  }

  /** The last lines of its log, as it wrote them. */
  async logTail(lines?: number): Promise<string> {
    return (await this.#child?.logTail(lines)) ?? "";
  }
}
