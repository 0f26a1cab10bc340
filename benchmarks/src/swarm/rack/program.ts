import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";

const END_MS = 5_000;

/** Starts a program in a network namespace; its process id is the program's own. */
export function startIn(
  namespace: string,
  command: readonly string[],
  options: { stdio: StdioOptions; env?: NodeJS.ProcessEnv },
): ChildProcess {
  const child = spawn("ip", ["netns", "exec", namespace, ...command], options);
  child.on("error", () => undefined);
  return child;
}

export async function endProgram(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
  await exited;
  clearTimeout(timer);
}

export function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error(`${child.spawnfile} did not start`);
  return child.pid;
}
