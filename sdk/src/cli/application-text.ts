import path from "node:path";
import { ArtifactFormat, OnFailure, Promotion, durationToMs } from "@slipway/proto";
import type {
  Application,
  Duration,
  HealthCheck,
  HookCommand,
  RunSpec,
  Strategy,
} from "@slipway/proto";
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
      maxAttempts: orNothing(build.maxAttempts),
      environment: unlessEmpty(build.environment),
    },
    run: run && runText(run, path.posix.basename(build?.artifactPath ?? "")),
    regions: spec?.regions,
    selector: unlessEmpty(spec?.selector ?? {}),
    strategy: spec?.strategy && strategyText(spec.strategy),
    notificationHooks: spec?.notificationHooks.length === 0 ? undefined : spec?.notificationHooks,
  };
  return stringify(file, { lineWidth: 0 });
}

function runText(run: RunSpec, artifactName: string): Record<string, unknown> {
  const secrets = Object.entries(run.secrets).map(([name, { source }]) => [
    name,
    source?.$case === "command" ? source.value : { file: source?.value },
  ]);
  return {
    command: run.command,
    environment: unlessEmpty(run.environment),
    secrets: unlessEmpty(Object.fromEntries(secrets) as Record<string, unknown>),
    workingDirectory: orNothing(run.workingDirectory),
    health: run.healthCheck && health(run.healthCheck),
    preActivate: hook(run.preActivate),
    postActivate: hook(run.postActivate),
    drainTime: text(run.drainTime),
    drain: hook(run.drain),
    stopTimeout: text(run.stopTimeout),
    executableName: run.executableName === artifactName ? undefined : orNothing(run.executableName),
  };
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

function strategyText(strategy: Strategy): Record<string, unknown> {
  const { waves, failureBudget, promotion, onFailure } = strategy;
  return {
    waves: orNothing(
      waves.map(({ regions, percents, bakeTime, requiresApproval }) => ({
        regions,
        percents: orNothing(percents),
        bakeTime: text(bakeTime),
        requiresApproval: orNothing(requiresApproval),
      })),
    ),
    maxSwitchingPercent: orNothing(strategy.maxSwitchingPercent),
    failureBudget,
    stageTimeout: text(strategy.stageTimeout),
    activateTimeout: text(strategy.activateTimeout),
    timeout: text(strategy.timeout),
    promotion: { [Promotion.AUTOMATIC]: "automatic", [Promotion.MANUAL]: "manual" }[
      promotion as number
    ],
    onFailure: { [OnFailure.ROLL_BACK]: "rollBack", [OnFailure.STOP]: "stop" }[onFailure as number],
  };
}

function hook(command: HookCommand | undefined): Record<string, unknown> | undefined {
  return command && { command: command.command, timeout: text(command.timeout) };
}

function text(duration: Duration | undefined): string | undefined {
  return duration && durationText(durationToMs(duration, 0));
}

/** Nothing for what the protocol leaves out: zero, false, and what is empty. */
function orNothing<T extends number | boolean | string | readonly unknown[]>(
  value: T,
): T | undefined {
  const isEmpty = typeof value === "object" ? value.length === 0 : !value;
  return isEmpty ? undefined : value;
}

function unlessEmpty<T>(map: Record<string, T>): Record<string, T> | undefined {
  return Object.keys(map).length === 0 ? undefined : map;
}
