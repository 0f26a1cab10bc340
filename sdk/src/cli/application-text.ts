import path from "node:path";
import { ArtifactFormat, durationToMs, type Application, type Duration } from "@slipway/proto";
import type { HealthCheck } from "@slipway/proto";
import { stringify } from "yaml";
import { durationText } from "./duration-text.js";

/** An application as a file that `app apply` reads back. */
export function applicationText({ name, spec }: Application): string {
  const { source, build, run } = spec ?? {};
  const file = {
    name,
    repository: source?.repository,
    trunk: source?.trunk,
    allowUnmerged: source?.allowUnmerged === true ? true : undefined,
    build: build && {
      command: build.command,
      artifact: build.artifactPath,
      format: build.artifactFormat === ArtifactFormat.TAR ? "tar" : "executable",
      timeout: text(build.timeout),
      maxAttempts: build.maxAttempts === 0 ? undefined : build.maxAttempts,
      environment: unlessEmpty(build.environment),
    },
    run: run && {
      command: run.command,
      environment: unlessEmpty(run.environment),
      health: run.healthCheck && health(run.healthCheck),
      stopTimeout: text(run.stopTimeout),
      executableName:
        run.executableName === path.posix.basename(build?.artifactPath ?? "")
          ? undefined
          : run.executableName || undefined,
    },
    regions: spec?.regions,
    selector: unlessEmpty(spec?.selector ?? {}),
  };
  return stringify(file, { lineWidth: 0 });
}

function health({ check, interval, timeout, deadline }: HealthCheck): Record<string, unknown> {
  return {
    http: check?.$case === "httpUrl" ? check.value : undefined,
    tcp: check?.$case === "tcpAddress" ? check.value : undefined,
    command: check?.$case === "command" ? check.value.command : undefined,
    interval: text(interval),
    timeout: text(timeout),
    deadline: text(deadline),
  };
}

function text(duration: Duration | undefined): string | undefined {
  return duration && durationText(durationToMs(duration, 0));
}

function unlessEmpty(map: Record<string, string>): Record<string, string> | undefined {
  return Object.keys(map).length === 0 ? undefined : map;
}
