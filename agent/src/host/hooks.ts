import { closeSync, openSync } from "node:fs";
import path from "node:path";
import { HostFailureReason } from "@slipway/proto";
import { killStrays } from "../process/strays.js";
import type { LogFile } from "./log-file.js";
import type { Hook, Launch } from "./release-process.js";
import { runCommand } from "./run-command.js";
import { SecretError } from "./secrets.js";
import type { ReleaseFailure } from "./wait-healthy.js";

/** Has the release folder in a hook's environment, and so tells a hook that an agent left behind. */
const HOOK_FOLDER_VARIABLE = "SLIPWAY_HOOK_FOLDER";
/** Of the hook's output, in a failure's message. */
const TAIL_BYTES = 2_048;

/**
 * Runs a release's hook with its environment, in its folder, its output in the application's log.
 * What it leaves running ends with it. The answer is undefined if it went well.
 * @throws the signal's reason.
 */
export async function runHook(
  what: "pre-activate" | "post-activate" | "drain",
  hook: Hook,
  { launch, logFile, signal }: { launch: Launch; logFile: LogFile; signal: AbortSignal },
): Promise<ReleaseFailure | undefined> {
  signal.throwIfAborted();
  const logFrom = await logFile.size();
  let secrets: Readonly<Record<string, string>>;
  try {
    secrets = await launch.secrets.values();
  } catch (error) {
    if (!(error instanceof SecretError)) throw error;
    return { reason: HostFailureReason.SECRET_UNAVAILABLE, message: error.message };
  }
  const variables = { [HOOK_FOLDER_VARIABLE]: path.resolve(launch.folder) };
  const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(hook.timeoutMs)));
  const output = openSync(logFile.path, "a", 0o600);
  let wrong: string | undefined;
  try {
    wrong = await runCommand(hook.command, {
      folder: launch.folder,
      environment: { ...launch.environment, ...secrets, ...variables },
      signal: AbortSignal.any([timeout, signal]),
      output,
    });
  } finally {
    closeSync(output);
  }
  await killHooks(path.resolve(launch.folder));
  signal.throwIfAborted();
  if (wrong === undefined) return undefined;
  const said = launch.secrets.redact(await logFile.tail(logFrom, TAIL_BYTES));
  const why = timeout.aborted ? `not done in ${hook.timeoutMs} ms` : wrong;
  return {
    reason: HostFailureReason.HOOK_FAILED,
    message: `the ${what} command failed: ${why}; ${said === "" ? "nothing was printed" : `the log's end:\n${said}`}`,
  };
}

/** Ends hooks of an earlier agent. @param releases the folder that has all release folders. */
export function killLeftHooks(releases: string): Promise<number> {
  return killHooks(`${path.resolve(releases)}${path.sep}`);
}

function killHooks(folder: string): Promise<number> {
  return killStrays(`${HOOK_FOLDER_VARIABLE}=${folder}`);
}
