import path from "node:path";
import {
  ArtifactFormat,
  type BuildSpec,
  type HealthCheck,
  type HookCommand,
  type RunSpec,
  type SecretReference,
} from "@slipway/proto";
import type { Violations } from "../validate.js";
import {
  byKey,
  checkCommand,
  checkDuration,
  checkEnvironment,
  checkFormat,
  checkVariableName,
  HOUR,
  MINUTE,
  SECOND,
} from "./checks.js";

const MAX_SECRETS = 64;

/** Checks how a release is run; the artifact's format is the build's unless stated. */
export function checkRun(run: RunSpec | undefined, build: BuildSpec, found: Violations): RunSpec {
  const field = "spec.run";
  const { command = [], environment = {}, executableName = "" } = run ?? {};
  checkCommand(command, `${field}.command`, found);
  const given = checkFormat(run?.artifactFormat, `${field}.artifact_format`, found);
  const unset = run === undefined || run.artifactFormat === ArtifactFormat.UNSPECIFIED;
  const artifactFormat = unset ? build.artifactFormat : given;
  const isExecutable = artifactFormat === ArtifactFormat.EXECUTABLE;
  const name = executableName === "" ? path.posix.basename(build.artifactPath) : executableName;
  if (isExecutable && executableName !== "") {
    const plain = path.posix.basename(name) === name && name !== "." && name !== "..";
    found.check(plain, `${field}.executable_name`, "must be a file name without folders");
    found.text(`${field}.executable_name`, name, 255);
  }
  return {
    command,
    environment: checkEnvironment(environment, `${field}.environment`, found),
    healthCheck: checkHealth(run?.healthCheck, found),
    stopTimeout: checkDuration(run?.stopTimeout, `${field}.stop_timeout`, found, {
      byDefault: 10 * SECOND,
      least: 0,
      most: 10 * MINUTE,
    }),
    artifactFormat,
    executableName: isExecutable ? name : "",
    workingDirectory: checkFolder(run?.workingDirectory ?? "", `${field}.working_directory`, found),
    secrets: checkSecrets(run?.secrets ?? {}, environment, `${field}.secrets`, found),
    preActivate: checkHook(run?.preActivate, `${field}.pre_activate`, found),
    postActivate: checkHook(run?.postActivate, `${field}.post_activate`, found),
    drainTime: checkDuration(run?.drainTime, `${field}.drain_time`, found, {
      byDefault: 0,
      least: 0,
      most: HOUR,
    }),
    drain: checkHook(run?.drain, `${field}.drain`, found),
  };
}

function checkHealth(health: HealthCheck | undefined, found: Violations): HealthCheck | undefined {
  if (health === undefined) return undefined;
  const field = "spec.run.health_check";
  const { check } = health;
  if (check?.$case === "httpUrl") {
    const url = check.value;
    found.text(`${field}.http_url`, url, 2_048);
    found.check(/^https?:\/\/./i.test(url), `${field}.http_url`, "must be an http or https URL");
  } else if (check?.$case === "tcpAddress") {
    found.text(`${field}.tcp_address`, check.value, 512);
    const shape = /^\S+:[^\s:]+$/.test(check.value);
    found.check(shape, `${field}.tcp_address`, "must be of the form HOST:PORT");
  } else if (check?.$case === "command") {
    checkCommand(check.value.command, `${field}.command.command`, found);
  }
  const bounds = { least: 100, most: HOUR };
  return {
    check,
    interval: checkDuration(health.interval, `${field}.interval`, found, {
      ...bounds,
      byDefault: SECOND,
    }),
    timeout: checkDuration(health.timeout, `${field}.timeout`, found, {
      ...bounds,
      byDefault: 2 * SECOND,
    }),
    deadline: checkDuration(health.deadline, `${field}.deadline`, found, {
      ...bounds,
      byDefault: 30 * SECOND,
    }),
  };
}

/** A folder inside the release folder; empty for that folder itself. */
function checkFolder(given: string, field: string, found: Violations): string {
  if (given === "") return given;
  found.text(field, given, 1_024);
  found.check(!given.includes("\\"), field, "must use forward slashes");
  const normal = path.posix.normalize(given).replace(/\/$/, "");
  found.check(!given.startsWith("/"), field, "must be relative to the release folder");
  const inside = normal !== ".." && !normal.startsWith("../");
  found.check(inside, field, "must not lead out of the release folder");
  return normal === "." ? "" : normal;
}

/** References by variable, ordered by name. What they refer to is looked up on hosts only. */
function checkSecrets(
  secrets: { readonly [name: string]: SecretReference },
  environment: { readonly [name: string]: string },
  field: string,
  found: Violations,
): { [name: string]: SecretReference } {
  const entries = Object.entries(secrets).sort(byKey);
  found.check(entries.length <= MAX_SECRETS, field, `must be at most ${MAX_SECRETS}`);
  for (const [name, { source }] of entries.slice(0, MAX_SECRETS)) {
    const at = `${field}[${JSON.stringify(name.slice(0, 100))}]`;
    checkVariableName(name, at, found);
    found.check(!Object.hasOwn(environment, name), at, "is in the environment as well");
    if (source === undefined) {
      found.add(at, "must name a file or a command");
    } else if (source.$case === "file") {
      found.text(`${at}.file`, source.value, 4_096);
      const isFile = /^\/.*[^/]$/.test(source.value);
      found.check(isFile, `${at}.file`, "must be the absolute path of a file");
    } else {
      checkCommand(source.value.command, `${at}.command.command`, found);
    }
  }
  return Object.fromEntries(entries);
}

function checkHook(
  hook: HookCommand | undefined,
  field: string,
  found: Violations,
): HookCommand | undefined {
  if (hook === undefined) return undefined;
  checkCommand(hook.command, `${field}.command`, found);
  const bounds = { byDefault: 30 * SECOND, least: 100, most: HOUR };
  const timeout = checkDuration(hook.timeout, `${field}.timeout`, found, bounds);
  return { command: hook.command, timeout };
}
