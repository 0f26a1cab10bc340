import { durationToMs } from "@slipway/proto";
import type { ReleaseRecord } from "./application-state.js";
import { expand } from "./expand.js";
import { resolveCheck, type ResolvedCheck } from "./health-check.js";
import { releaseEnvironment, type HostEnvironment } from "./release-environment.js";
import { StartError, type Launch } from "./release-process.js";

const DEFAULT_STOP_TIMEOUT_MS = 10_000;
const MAX_STOP_TIMEOUT_MS = 600_000;

/**
 * How a release is started and checked on this host.
 * @throws StartError for a command, an environment or a check that cannot be resolved.
 */
export function resolveLaunch(
  host: HostEnvironment,
  application: string,
  record: ReleaseRecord,
  folder: string,
): { launch: Launch; check: ResolvedCheck } {
  const run = record.release.run;
  try {
    const environment = releaseEnvironment(host, application, record.release);
    return {
      launch: {
        release: record.folder,
        folder,
        command: (run?.command ?? []).map((word) => expand(word, environment)),
        environment,
        stopTimeoutMs: Math.min(
          MAX_STOP_TIMEOUT_MS,
          durationToMs(run?.stopTimeout, DEFAULT_STOP_TIMEOUT_MS),
        ),
      },
      check: resolveCheck(run?.healthCheck, environment),
    };
  } catch (error) {
    throw new StartError((error as Error).message, { cause: error });
  }
}
