import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { eventually } from "./postgres.js";

const bin = fileURLToPath(new URL("../bin/slipway-coordinator.js", import.meta.url));

/** A coordinator as a process of its own. */
export class CoordinatorProcess {
  readonly #child: ChildProcess;
  /** What it logged, oldest first. */
  readonly logs: Record<string, unknown>[] = [];
  #stderr = "";

  private constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stderr?.on("data", (data: Buffer) => (this.#stderr += data.toString()));
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    lines.on("line", (line) => this.logs.push(JSON.parse(line) as Record<string, unknown>));
  }

  /** Starts it and waits until it serves. */
  static async start(args: readonly string[]): Promise<CoordinatorProcess> {
    const started = new CoordinatorProcess(args);
    try {
      await started.logged("listening");
      return started;
    } catch (error) {
      await started.end("SIGKILL");
      throw error;
    }
  }

  /** HOST:PORT of its gRPC server. */
  get address(): string {
    return String(this.logs.find(({ msg }) => msg === "listening")?.["address"]);
  }

  /** The first line with this message, once it is there. */
  async logged(message: string, timeoutMs = 30_000): Promise<Record<string, unknown>> {
    return eventually(() => {
      const { exitCode, signalCode } = this.#child;
      const line = this.logs.find(({ msg }) => msg === message);
      if (line === undefined && (exitCode ?? signalCode) !== null) {
        throw new Error(`the coordinator ended: ${exitCode ?? signalCode} ${this.#stderr}`);
      }
      return line;
    }, timeoutMs);
  }

  /** Sends the signal and waits for its end; answers its exit code, or the signal that ended it. */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    const ended = once(this.#child, "exit");
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode;
    this.#child.kill(signal);
    const [code, by] = (await ended) as [number | null, NodeJS.Signals | null];
    return code ?? by;
  }
}
