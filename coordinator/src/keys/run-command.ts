import { spawn } from "node:child_process";
import process from "node:process";
import { SignerError } from "./signer.js";

/** What a command's standard output may be at most: a signature, in any way of writing it. */
const MAX_OUTPUT_BYTES = 1_024;
const MAX_STDERR_CHARACTERS = 500;

/** How a command is run. */
export interface RunOptions {
  /** Named in errors. */
  what: string;
  /** The command and its arguments: there is no shell. */
  argv: readonly string[];
  timeoutMs: number;
  /** Ends it. */
  signal: AbortSignal;
}

/**
 * Runs a command with these bytes on standard input, and answers what it wrote to standard output.
 * Whatever becomes of it, the command and what it has started are gone, or never written to again.
 * @throws SignerError
 */
export function runCommand(options: RunOptions, input: Buffer): Promise<Buffer> {
  const { what, argv, timeoutMs, signal } = options;
  const [file = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(stopped(what));
      return;
    }
    // In a process group of its own, so that what it starts can be ended with it.
    const child = spawn(file, args, { stdio: "pipe", detached: true });
    const chunks: Buffer[] = [];
    let size = 0;
    let stderr = "";
    let isOver = false;
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      settle();
    };
    const fail = (error: SignerError): void => {
      end(() => {
        killGroup(child.pid);
        // Somebody who left the group may still hold them open.
        for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
        reject(error);
      });
    };
    const abort = (): void => fail(stopped(what));
    const timer = setTimeout(() => {
      const message = `the ${what} has not answered within ${timeoutMs / 1_000} s`;
      fail(new SignerError("timed_out", message, { stderr }));
    }, timeoutMs);
    signal.addEventListener("abort", abort, { once: true });

    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_OUTPUT_BYTES) chunks.push(chunk);
      else fail(new SignerError("malformed", `the ${what} says too much`, { stderr }));
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-MAX_STDERR_CHARACTERS);
    });
    // A command may answer without reading all; its exit code says whether that was well.
    child.stdin.on("error", () => undefined);
    child.on("error", (error: NodeJS.ErrnoException) => {
      const message = `the ${what} cannot be run: ${error.code ?? error.message}`;
      fail(new SignerError("failed", message, { cause: error }));
    });
    child.on("close", (code, by) => {
      if (code === 0) {
        end(() => resolve(Buffer.concat(chunks)));
        return;
      }
      const message = `the ${what} ended with ${by ?? `exit code ${code}`}`;
      fail(new SignerError("failed", message, { stderr }));
    });
    child.stdin.end(input);
  });
}

/** The coordinator does not wait for signatures when it ends. */
export function stopped(what: string): SignerError {
  return new SignerError("stopped", `the ${what} was stopped with the coordinator`, {});
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
