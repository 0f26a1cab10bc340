import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { guard } from "./guardian.js";
import { signalGroup } from "./signals.js";

export interface ChildOptions {
  /** For messages. */
  name: string;
  command: string;
  args: readonly string[];
  cwd: string;
  /** Both outputs are appended to it. */
  logFile: string;
  env?: NodeJS.ProcessEnv;
  user?: { uid: number; gid: number } | undefined;
  /** Asks it to end. Default SIGTERM. */
  stopSignal?: NodeJS.Signals;
}

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process in a group of its own that cannot outlive us. It does not keep the event loop alive. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Settles when it has ended; never rejects. Waiting for it keeps nothing alive; `stop` does. */
  readonly exited: Promise<Exit>;
  /** Undefined while it runs. */
  readonly exit: Exit | undefined;
  /** To the process alone; nothing happens if it has ended. */
  signal(signal: NodeJS.Signals): void;
  /** Asks it to end and waits; kills its process group after `timeoutMs` (default 10 s). */
  stop(timeoutMs?: number): Promise<Exit>;
  /** The last lines of its log. */
  logTail(lines?: number): Promise<string>;
  /**
   * Waits for a line in the log, from this start on, that matches.
   * @throws Error with the log's tail if the process ends first or `timeoutMs` pass.
   */
  logged(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray>;
}

/**
 * Starts a process that ends with us at the latest.
 * @throws Error if it cannot be started.
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { name, logFile, stopSignal = "SIGTERM" } = options;
  const log = openSync(logFile, "a", 0o600);
  const logStart = (await readFile(logFile)).length;
  let child: ChildProcess;
  try {
    child = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      detached: true,
      stdio: ["ignore", log, log],
      ...options.user,
    });
  } finally {
    closeSync(log);
  }
  let exit: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve((exit = { code, signal })));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (cause) => reject(new Error(`${name} cannot be started`, { cause })));
  });
  const pid = child.pid as number;
  guard().watch(pid, stopSignal);
  void exited.then(() => guard().forget(pid));
  child.unref();

  const readLog = async (): Promise<string> => (await readFile(logFile)).toString("utf8", logStart);
  const logTail = async (lines = 20): Promise<string> =>
    (await readLog()).trimEnd().split("\n").slice(-lines).join("\n");
  const withLog = async (what: string): Promise<Error> =>
    new Error(`${name} ${what}. The end of ${logFile}:\n${await logTail()}`);

  return {
    name,
    pid,
    logFile,
    exited,
    get exit() {
      return exit;
    },
    signal(signal) {
      if (exit === undefined) child.kill(signal);
    },
    async stop(timeoutMs = 10_000) {
      if (exit !== undefined) return exit;
      child.ref();
      signalGroup(pid, "SIGCONT");
      child.kill(stopSignal);
      const timer = setTimeout(() => signalGroup(pid, "SIGKILL"), timeoutMs);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
    logTail,
    async logged(pattern, timeoutMs) {
      const end = Date.now() + timeoutMs;
      for (;;) {
        const ended = exit;
        const match = pattern.exec(await readLog());
        if (match !== null) return match;
        if (ended !== undefined) throw await withLog(`ended: ${ended.signal ?? ended.code}`);
        if (Date.now() >= end) throw await withLog(`was not ready within ${timeoutMs / 1000} s`);
        await delay(15);
      }
    },
  };
}
