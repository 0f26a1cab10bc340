import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import { VersionFiles, type AgentVersion } from "./version-files.js";
import { steadyNow } from "../steady-now.js";

const POLL_MS = 100;
const CONFIRM_MS = 60_000;
const STOP_MS = 30_000;
const RESTART = { baseMs: 500, maxMs: 30_000 };
/** An agent that ran this long is started again at once. */
const STEADY_MS = 30_000;

interface LauncherOptions {
  dataDir: string;
  /** The agent that is run where no other has confirmed: this very one. */
  self: readonly string[];
  /** The agent's command line: a role and its options. */
  args: readonly string[];
  environment: Readonly<Record<string, string | undefined>>;
  /** How long a new version has to confirm that it works. Default: 60 s. */
  confirmMs?: number;
  log: Logger;
  /** Ends the agent, and the launcher. */
  signal: AbortSignal;
}

/**
 * Keeps an agent running. A version that the agent leaves as the next one is started in its place:
 * it has to confirm that it works, else the one before comes back.
 */
export async function launch(options: LauncherOptions): Promise<void> {
  const { dataDir, log, signal } = options;
  const files = new VersionFiles(dataDir);
  await files.prepare();
  let failures = 0;
  while (!signal.aborted) {
    const current = await files.read("current");
    let next = await files.read("next");
    if (next !== undefined && next.release === current?.release) {
      // It has confirmed, and the launcher was killed before it could say that it is no trial more.
      await files.dropNext();
      next = undefined;
    }
    const version = next ?? current;
    const startedAt = steadyNow();
    const end = await runVersion(options, files, version, next !== undefined);
    if (end.kind === "stopped") continue;
    if (end.kind === "failed" && next !== undefined) {
      log.error(
        { version: next, reason: end.message },
        "agent version failed: the last one returns",
      );
      await files.write("failed", { ...next, message: end.message } as AgentVersion);
      await files.dropNext();
      continue;
    }
    failures = steadyNow() - startedAt >= STEADY_MS ? 0 : failures + 1;
    const waitMs = backOffMs(failures, RESTART);
    log.warn({ reason: end.message, restartInMs: Math.round(waitMs) }, "agent ended");
    await delay(waitMs, undefined, { signal }).catch(() => {
      // Stopped: the loop's condition ends it.
    });
  }
}

/** "stopped": for the next version, or for good. "failed": it did not confirm. */
type End = { kind: "stopped" } | { kind: "failed" | "exited"; message: string };

async function runVersion(
  { self, args, environment, confirmMs = CONFIRM_MS, log, signal }: LauncherOptions,
  files: VersionFiles,
  version: AgentVersion | undefined,
  trial: boolean,
): Promise<End> {
  const token = randomUUID();
  const [file = "", ...first] = version?.command ?? self;
  const child = spawn(file, [...first, ...args], {
    stdio: "inherit",
    env: {
      ...environment,
      SLIPWAY_LAUNCH_TOKEN: token,
      SLIPWAY_LAUNCHED_RELEASE: version?.release ?? "self",
    },
  });
  let ended: string | undefined;
  child.once("error", (error) => (ended = error.message));
  child.once(
    "exit",
    (code, name) => (ended = name === null ? `exit code ${code}` : `signal ${name}`),
  );
  log.info({ version, trial, pid: child.pid }, "agent started");
  const deadline = steadyNow() + confirmMs;
  let confirmed = !trial;
  for (;;) {
    if (ended !== undefined) {
      const message = confirmed ? ended : `the new agent ended before it confirmed: ${ended}`;
      return { kind: confirmed ? "exited" : "failed", message };
    }
    if (signal.aborted || (confirmed && (await files.read("next")) !== undefined)) {
      await stop(child, () => ended !== undefined);
      return { kind: "stopped" };
    }
    if (!confirmed && version !== undefined && (await files.isConfirmed(token))) {
      await files.write("current", version);
      await files.dropNext();
      confirmed = true;
      log.info({ version }, "agent version confirmed");
    }
    if (!confirmed && steadyNow() >= deadline) {
      await stop(child, () => ended !== undefined);
      return { kind: "failed", message: `the new agent did not confirm in ${confirmMs} ms` };
    }
    await delay(POLL_MS);
  }
}

async function stop(child: ChildProcess, hasEnded: () => boolean): Promise<void> {
  child.kill("SIGTERM");
  const deadline = steadyNow() + STOP_MS;
  while (!hasEnded() && steadyNow() < deadline) await delay(POLL_MS);
  if (hasEnded()) return;
  child.kill("SIGKILL");
  while (!hasEnded() && steadyNow() < deadline + STOP_MS) await delay(POLL_MS);
}
