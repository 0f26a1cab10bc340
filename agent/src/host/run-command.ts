import { spawn, type StdioOptions } from "node:child_process";
import { signalGroup } from "../process/group.js";

/** A killed command that is still there after this long is in the kernel's hands. */
const KILL_WAIT_MS = 5_000;

export interface CommandOptions {
  folder: string;
  environment: Readonly<Record<string, string>>;
  /** Ends the command, by force. */
  signal: AbortSignal;
  /** Where its output goes. Default: nowhere. */
  output?: number | ((chunk: Buffer) => void);
}

/**
 * Runs a command, without input, in a process group that ends with it. The answer is undefined if
 * it exits 0, else how it ended. Never rejects.
 */
export function runCommand(
  [file = "", ...args]: readonly string[],
  { folder, environment, signal, output }: CommandOptions,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const stdio: StdioOptions =
      typeof output === "number"
        ? ["ignore", output, output]
        : ["ignore", output === undefined ? "ignore" : "pipe", "ignore"];
    let child: ReturnType<typeof spawn>;
    try {
      child = spawn(file, args, { cwd: folder, env: { ...environment }, stdio, detached: true });
    } catch (error) {
      resolve(`${file}: ${(error as Error).message}`);
      return;
    }
    let giveUp: NodeJS.Timeout | undefined;
    const kill = (): void => {
      if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
    };
    const done = (answer: string | undefined): void => {
      signal.removeEventListener("abort", abort);
      clearTimeout(giveUp);
      child.stdout?.destroy();
      resolve(answer);
    };
    const abort = (): void => {
      kill();
      giveUp = setTimeout(() => done(`${file}: outlives SIGKILL`), KILL_WAIT_MS);
    };
    if (typeof output === "function") child.stdout?.on("data", output);
    child.once("error", (error) => done(`${file}: ${error.message}`));
    let end: string | undefined;
    child.once("exit", (code, name) => {
      // What it left running would hold its output open.
      kill();
      end =
        code === 0
          ? undefined
          : `${file}: ${name === null ? `exit code ${code}` : `signal ${name}`}`;
    });
    child.once("close", () => done(end));
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  });
}
