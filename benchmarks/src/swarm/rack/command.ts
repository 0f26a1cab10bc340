import { type ExecFileException, execFile } from "node:child_process";

const TIMEOUT_MS = 20_000;

/** What a short-lived command says; throws with what it complained of. */
export function command(file: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const ended = (error: ExecFileException | null, output: string, complaint: string): void => {
      if (error === null) resolve(output);
      else reject(new Error(`${file} ${args.join(" ")}: ${complaint || error.message}`));
    };
    const child = execFile(file, args, { timeout: TIMEOUT_MS }, ended);
    // Its exit code says more than a pipe that it closed early.
    child.stdin?.on("error", () => undefined).end(input);
  });
}
