import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable } from "node:stream";
import { signalGroup } from "../../process/group.js";
import { killStrays } from "../../process/strays.js";
import { errorCode } from "../../store/errors.js";
import { confine, UNCONFINED, type Confinement } from "./confinement.js";
import type { GroupRecords } from "./group-records.js";

/** How long the pipes of an ended group are waited for. */
const DRAIN_MS = 500;
/** A process that does not die of SIGKILL in this time hangs in the kernel: it is left to it. */
const UNKILLABLE_MS = 10_000;

export interface GroupOptions {
  command: readonly string[];
  cwd: string;
  environment: Readonly<Record<string, string | undefined>>;
  /** Default: none. */
  confinement?: Confinement;
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
  /** Takes output. */
  onOutput: (source: "stdout" | "stderr", chunk: Buffer) => void;
}

export interface GroupExit {
  /** Of the group's leader; null if a signal ended it. */
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  /** The leader left processes behind, in its group or out of it, which were killed. */
  leftBehind: boolean;
}

/** What a program that confines another says at its own exit when it can't start that. */
const NOT_STARTED = /^(?:prlimit|setpriv): /;
const NOT_STARTED_CODES = new Map([
  [126, "EACCES"],
  [127, "ENOENT"],
]);
/** Of stderr, to recognise that by. */
const FIRST_BYTES = 1_024;

/** The command could not be started. */
export class StartError extends Error {
  override readonly name = "StartError";
  /** errno name: ENOENT, EACCES, … */
  readonly code: string | undefined;

  constructor(cause: unknown, code = errorCode(cause)) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.code = code;
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
  const said = firstWords(child.stderr);
  passOutput(child, options);
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
    // What is still in the pipes is little.
    const drained = new Promise<void>((resolve) => timers.push(setTimeout(resolve, DRAIN_MS)));
    await Promise.race([closed, drained]);
    options.signal.throwIfAborted();
    const notStarted = NOT_STARTED_CODES.get(exit?.code ?? 0);
    if (options.confinement !== undefined && notStarted !== undefined && NOT_STARTED.test(said())) {
      throw new StartError(said().trim(), notStarted);
    }
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

function start({ command, cwd, environment, confinement = UNCONFINED }: GroupOptions): Child {
  const { command: confined, ...user } = confine(command, confinement);
  const [program = "", ...parameters] = confined;
  try {
    return spawn(program, parameters, {
      cwd,
      env: environment,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      ...user,
    });
  } catch (error) {
    throw new StartError(error);
  }
}

/** Keeps the beginning of what comes, for whoever asks. */
function firstWords(stream: Readable): () => string {
  let words = "";
  stream.on("data", (chunk: Buffer) => {
    if (words.length < FIRST_BYTES) words += chunk.toString("latin1", 0, FIRST_BYTES);
  });
  return () => words;
}

function passOutput(child: Child, { onOutput }: GroupOptions): void {
  for (const source of ["stdout", "stderr"] as const) {
    child[source].on("data", (chunk: Buffer) => onOutput(source, chunk));
    // The pipe's end is seen as the group's end.
    child[source].on("error", () => undefined);
  }
}
