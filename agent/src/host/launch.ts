import path from "node:path";
import { durationToMs, type HookCommand } from "@slipway/proto";
import type { ReleaseRecord } from "./application-state.js";
import { expand } from "./expand.js";
import { resolveCheck, type ResolvedCheck } from "./health-check.js";
import { releaseEnvironment, type HostEnvironment } from "./release-environment.js";
import { StartError, type Hook, type Launch } from "./release-process.js";
import type { ReleaseSecrets } from "./secrets.js";

const DEFAULT_STOP_TIMEOUT_MS = 10_000;
const MAX_STOP_TIMEOUT_MS = 600_000;
const DEFAULT_HOOK_TIMEOUT_MS = 30_000;
const MAX_HOOK_TIMEOUT_MS = 3_600_000;
const MAX_DRAIN_MS = 3_600_000;

/** A release with everything that is to be known to run it on this host. */
export interface ResolvedRelease {
  launch: Launch;
  check: ResolvedCheck;
  preActivate: Hook | undefined;
  postActivate: Hook | undefined;
}

/**
 * How a release is started and checked on this host. Secrets are no part of what ${NAME} stands
 * for: arguments and messages are seen by many.
 * @throws StartError for a command, an environment, a folder or a check that cannot be resolved.
 */
export function resolveRelease(
  host: HostEnvironment,
  application: string,
  record: ReleaseRecord,
  { folder, secrets }: { folder: string; secrets: ReleaseSecrets },
): ResolvedRelease {
  const run = record.release.run;
  try {
    const environment = releaseEnvironment(host, application, record.release);
    const hook = (command: HookCommand | undefined) => resolveHook(command, environment);
    return {
      launch: {
        release: record.folder,
        folder,
        workingDirectory: resolveInside(folder, run?.workingDirectory ?? ""),
        command: (run?.command ?? []).map((word) => expand(word, environment)),
        environment,
        secrets,
        stopTimeoutMs: Math.min(
          MAX_STOP_TIMEOUT_MS,
          durationToMs(run?.stopTimeout, DEFAULT_STOP_TIMEOUT_MS),
        ),
        drain: {
          timeMs: Math.min(MAX_DRAIN_MS, durationToMs(run?.drainTime, 0)),
          hook: hook(run?.drain),
        },
      },
      check: resolveCheck(run?.healthCheck, environment),
      preActivate: hook(run?.preActivate),
      postActivate: hook(run?.postActivate),
    };
  } catch (error) {
    throw new StartError((error as Error).message, { cause: error });
  }
}

function resolveHook(
  hook: HookCommand | undefined,
  environment: Readonly<Record<string, string>>,
): Hook | undefined {
  if (hook === undefined || hook.command.length === 0) return undefined;
  return {
    command: hook.command.map((word) => expand(word, environment)),
    timeoutMs: Math.min(MAX_HOOK_TIMEOUT_MS, durationToMs(hook.timeout, DEFAULT_HOOK_TIMEOUT_MS)),
  };
}

function resolveInside(folder: string, relative: string): string {
  const inside = path.join(folder, relative);
  const way = path.relative(folder, inside);
  if (path.isAbsolute(relative) || way === ".." || way.startsWith(`..${path.sep}`)) {
    throw new Error(`working directory ${JSON.stringify(relative)} is not in the release folder`);
  }
  return inside;
}
