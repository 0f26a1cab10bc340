import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built command, as users start it. */
const CLI = fileURLToPath(new URL("../../bin/slipway.js", import.meta.url));
const DEADLINE_MS = 20_000;

/** How a run of the command ended. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The command as a child process, while it runs. */
export interface Running {
  child: ChildProcessWithoutNullStreams;
  ended: Promise<Ended>;
  /** Resolves once standard output (or error) has this in it. */
  until(text: string): Promise<void>;
}

export interface RunOptions {
  env?: Record<string, string>;
  input?: string;
}

/** Starts `slipway` with nothing of our environment that it reads. */
export function startCli(args: readonly string[], options: RunOptions = {}): Running {
  const { env = {}, input } = options;
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith("SLIPWAY_"));
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...Object.fromEntries(clean), ...env },
  });
  let stdout = "";
  let stderr = "";
  const watchers = new Set<() => void>();
  child.stdout.on("data", (data: Buffer) => {
    stdout += data.toString();
    for (const look of watchers) look();
  });
  child.stderr.on("data", (data: Buffer) => {
    stderr += data.toString();
    for (const look of watchers) look();
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input ?? "");
  const ended = new Promise<Ended>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`slipway ${args.join(" ")} still ran\n${stdout}\n${stderr}`));
    }, DEADLINE_MS);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
  ended.catch(() => undefined);
  return {
    child,
    ended,
    until: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!stdout.includes(text) && !stderr.includes(text)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        ended.then(
          () => reject(new Error(`it ended without "${text}"\n${stdout}\n${stderr}`)),
          reject,
        );
        look();
      }),
  };
}

/** Runs `slipway` to its end. */
export function runCli(args: readonly string[], options?: RunOptions): Promise<Ended> {
  return startCli(args, options).ended;
}
