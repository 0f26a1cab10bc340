import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable } from "node:stream";
import { signalGroup } from "../../process/group.js";
import { killStrays } from "../../process/strays.js";
import { errorCode } from "../../store/errors.js";
import type { GroupRecords } from "./group-records.js";

/** How long the pipes of an ended group are waited for. */
const DRAIN_MS = 500;
/** A process that does not die of SIGKILL in this time hangs in the kernel: it is left to it. */
const UNKILLABLE_MS = 10_000;

export interface GroupOptions {
  command: readonly string[];
  cwd: string;
  environment: Readonly<Record<string, string | undefined>>;
  /** From start to the end of the group, in ms. */
  timeoutMs: number;
  /** Between SIGTERM and SIGKILL, in ms. */
  graceMs: number;
  /** Ends the group. */
  signal: AbortSignal;
  /** True if an abort for this reason leaves the group its grace; else it is killed at once. */
  abortsGently: (reason: unknown) => boolean;
  records: GroupRecords;
  /**
   * `NAME=VALUE` of the environment, by which also those processes are known that left the group;
   * they end with it. Undefined if nobody would.
   */
  variable: string | undefined;
  /** Takes output. A promise holds the group's output back until it resolves. */
  onOutput: (source: "stdout" | "stderr", chunk: Buffer) => Promise<void> | undefined;
}

export interface GroupExit {
  /** Of the group's leader; null if a signal ended it. */
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  /** The leader left processes behind, in its group or out of it, which were killed. */
  leftBehind: boolean;
}

/** The command could not be started. */
export class StartError extends Error {
  override readonly name = "StartError";
  /** errno name: ENOENT, EACCES, … */
  readonly code: string | undefined;

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.code = errorCode(cause);
  }
}

/**
 * Runs a command as the leader of a process group of its own, without input. When it returns, the
 * group is gone, however it ended. Throws StartError, or the signal's reason.
 */
export async function runGroup(options: GroupOptions): Promise<GroupExit> {
  options.signal.throwIfAborted();
  const child = start(options);
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const started = new Promise<number>((resolve, reject) => {
    child.once("error", (error) => reject(new StartError(error)));
    child.once("spawn", () => resolve(child.pid ?? 0));
  });
  const group = await started;
  const resume = passOutput(child, options);
  const timers: NodeJS.Timeout[] = [];
  let giveUp: (() => void) | undefined;
  const unkillable = new Promise<undefined>((resolve) => {
    giveUp = () => resolve(undefined);
  });
  const kill = (graceMs: number): void => {
    if (graceMs > 0) signalGroup(group, "SIGTERM");
    timers.push(
      setTimeout(() => {
        signalGroup(group, "SIGKILL");
        timers.push(setTimeout(() => giveUp?.(), UNKILLABLE_MS));
      }, graceMs),
    );
  };
  let timedOut = false;
  timers.push(
    setTimeout(() => {
      timedOut = true;
      kill(options.graceMs);
    }, options.timeoutMs),
  );
  const abort = (): void => kill(options.abortsGently(options.signal.reason) ? options.graceMs : 0);
  if (options.signal.aborted) abort();
  else options.signal.addEventListener("abort", abort, { once: true });
  let forget: (() => Promise<void>) | undefined;
  try {
    forget = await options.records.add(group);
    const exit = await Promise.race([ended, unkillable]);
    const leftGroup = signalGroup(group, "SIGKILL");
    const strays = options.variable === undefined ? 0 : await killStrays(options.variable);
    const leftBehind = leftGroup || strays > 0;
    // Nobody can be held back any more, and what is still in the pipes is little.
    resume();
    const drained = new Promise<void>((resolve) => timers.push(setTimeout(resolve, DRAIN_MS)));
    await Promise.race([closed, drained]);
    options.signal.throwIfAborted();
    return {
      exitCode: exit?.code ?? null,
      signal: exit === undefined ? "SIGKILL" : exit.signal,
      timedOut,
      leftBehind,
    };
  } finally {
    options.signal.removeEventListener("abort", abort);
    for (const timer of timers) clearTimeout(timer);
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
    signalGroup(group, "SIGKILL");
    await forget?.();
  }
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

function start({ command, cwd, environment }: GroupOptions): Child {
  const [program = "", ...parameters] = command;
  try {
    return spawn(program, parameters, {
      cwd,
      env: environment,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    throw new StartError(error);
  }
}

/** Hands output on, holding both pipes back when asked to. Returns what ends all holding back. */
function passOutput(child: Child, { onOutput }: GroupOptions): () => void {
  let waiting = 0;
  let free = false;
  for (const source of ["stdout", "stderr"] as const) {
    child[source].on("data", (chunk: Buffer) => {
      const wait = onOutput(source, chunk);
      if (wait === undefined || free) return;
      waiting += 1;
      child.stdout.pause();
      child.stderr.pause();
      void wait.then(() => {
        waiting -= 1;
        if (waiting === 0) resume();
      });
    });
    // The pipe's end is seen as the group's end.
    child[source].on("error", () => undefined);
  }
  const resume = (): void => {
    child.stdout.resume();
    child.stderr.resume();
  };
  return () => {
    free = true;
    resume();
  };
}
