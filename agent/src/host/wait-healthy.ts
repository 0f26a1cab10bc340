import { setTimeout as delay } from "node:timers/promises";
import { HostFailureReason } from "@slipway/proto";
import { checkRelease } from "./check-release.js";
import type { ResolvedCheck } from "./health-check.js";
import type { LogFile } from "./log-file.js";
import type { Launch, ProcessExit } from "./release-process.js";
import type { Supervisor } from "./supervisor.js";
import { steadyNow } from "../steady-now.js";

/** A release that exits this often before it is healthy is not waited for any longer. */
const MAX_EXITS = 3;
/** Of the release's own output, in a failure's message. */
const TAIL_BYTES = 2_048;
const POLL_MS = 50;

/** Why a release is not going to be healthy. */
export interface ReleaseFailure {
  reason: HostFailureReason;
  message: string;
}

interface Waiting {
  supervisor: Supervisor;
  launch: Launch;
  check: ResolvedCheck;
  logFile: LogFile;
  /** Size of the log file when the release was started. */
  logFrom: number;
  /** The supervisor's exits that are not to be counted. */
  exitsFrom: number;
  signal: AbortSignal;
}

/**
 * Waits until a release that was just started is healthy: undefined then, else why it failed.
 * @throws the signal's reason.
 */
export async function waitUntilHealthy(waiting: Waiting): Promise<ReleaseFailure | undefined> {
  const { supervisor, launch, check, signal } = waiting;
  const deadline = steadyNow() + check.deadlineMs;
  let answer: string | undefined;
  for (;;) {
    signal.throwIfAborted();
    if (supervisor.exits - waiting.exitsFrom >= MAX_EXITS) return exited(waiting);
    if (check.kind.kind === "running") {
      if (await ranFor(supervisor, check.intervalMs, signal)) return undefined;
    } else if (supervisor.isUp) {
      const { exits } = supervisor;
      const found = await checkRelease(launch, check.kind, {
        timeoutMs: Math.max(1, Math.min(check.timeoutMs, deadline - steadyNow())),
        signal,
      });
      signal.throwIfAborted();
      // A good answer of something else at that address does not count for a process that is gone.
      if (found === undefined && supervisor.isUp && supervisor.exits === exits) return undefined;
      // The last one may have been given a few milliseconds, and says little then.
      if (answer === undefined || steadyNow() < deadline) {
        answer = found ?? "the process exited while it was asked";
      }
    }
    if (steadyNow() >= deadline) {
      if (supervisor.exits > waiting.exitsFrom) return exited(waiting);
      return {
        reason: HostFailureReason.UNHEALTHY,
        message: `not healthy ${check.deadlineMs} ms after its start: ${answer ?? "it was not asked"}`,
      };
    }
    const pause = check.kind.kind === "running" ? POLL_MS : check.intervalMs;
    await pauseWatching(waiting, Math.min(pause, Math.max(1, deadline - steadyNow())));
  }
}

async function ranFor(supervisor: Supervisor, ms: number, signal: AbortSignal): Promise<boolean> {
  if (!supervisor.isUp) return false;
  const { exits } = supervisor;
  const until = steadyNow() + ms;
  while (steadyNow() < until && supervisor.exits === exits) {
    await delay(Math.min(POLL_MS, Math.max(1, until - steadyNow())), undefined, { signal });
  }
  return supervisor.isUp && supervisor.exits === exits;
}

/** Pauses, but not beyond the exit that decides. */
async function pauseWatching(waiting: Waiting, ms: number): Promise<void> {
  const { supervisor, exitsFrom, signal } = waiting;
  const until = steadyNow() + ms;
  while (steadyNow() < until && supervisor.exits - exitsFrom < MAX_EXITS) {
    await delay(Math.min(POLL_MS, Math.max(1, until - steadyNow())), undefined, { signal });
  }
}

async function exited({
  supervisor,
  launch,
  logFile,
  logFrom,
  exitsFrom,
}: Waiting): Promise<ReleaseFailure> {
  const output = launch.secrets.redact(await logFile.tail(logFrom, TAIL_BYTES));
  const exits = supervisor.exits - exitsFrom;
  const times = exits === 1 ? "" : ` ${exits} times`;
  const said = output === "" ? "it printed nothing" : `its last output:\n${output}`;
  return {
    reason: HostFailureReason.EXITED,
    message: `exited${times} before it was healthy, with ${describeExit(supervisor.lastExit)}; ${said}`,
  };
}

/** Says how a process ended. */
export function describeExit(exit: ProcessExit | undefined): string {
  if (exit === undefined || exit === "unknown") return "an unknown exit code";
  return exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
}
