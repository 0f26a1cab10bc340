import path from "node:path";
import {
  ApplicationSpec,
  ArtifactFormat,
  type BuildSpec,
  type HealthCheck,
  type RunSpec,
  type SourceSpec,
  type Strategy,
} from "@slipway/proto";
import { hasControlCharacters, type Violations } from "../validate.js";
import { byKey, checkCommand, checkDuration, checkScript, HOUR, MINUTE, SECOND } from "./checks.js";
import { checkStrategy } from "./strategy.js";

const MAX_SPEC_BYTES = 256 * 1024;

/** A spec that was checked and has its defaults filled in. */
export type CheckedSpec = ApplicationSpec & {
  source: SourceSpec;
  build: BuildSpec;
  run: RunSpec;
  strategy: Strategy;
};

/**
 * Checks a spec and fills in its defaults, so that no reader has to know them and two specs that
 * mean the same are the same bytes. What is wrong goes to `found`, by path from the request; the
 * result counts only if nothing is.
 */
export function checkSpec(spec: ApplicationSpec | undefined, found: Violations): CheckedSpec {
  const build = checkBuild(spec?.build, found);
  const source = checkSource(spec?.source, found);
  const run = checkRun(spec?.run, build, found);
  const regions = checkRegions(spec?.regions ?? [], found);
  const checked = {
    source,
    build,
    run,
    regions,
    selector: checkSelector(spec?.selector ?? {}, found),
    strategy: checkStrategy(spec?.strategy, { regions, run }, "spec.strategy", found),
    notificationHooks: spec?.notificationHooks ?? [],
  };
  const size = ApplicationSpec.encode(checked).finish().length;
  found.check(size <= MAX_SPEC_BYTES, "spec", `must be at most ${MAX_SPEC_BYTES} bytes in all`);
  return checked;
}

function checkSource(source: SourceSpec | undefined, found: Violations): SourceSpec {
  const { repository = "", trunk = "", allowUnmerged = false } = source ?? {};
  const field = "spec.source.repository";
  if (found.check(repository !== "", field, "is missing")) {
    found.text(field, repository, 2_048);
    found.check(!repository.startsWith("-"), field, "must not start with a hyphen");
    // Git's remote helpers (ext::sh …) run commands.
    found.check(!/^[\w+.-]+::/.test(repository), field, "must not name a remote helper");
    found.check(
      /^([a-z][a-z0-9+.-]*:\/\/|\/|[^\s/:]+:)/i.test(repository),
      field,
      "must be a URL, user@host:path, or an absolute path",
    );
  }
  const branch = trunk === "" ? "main" : trunk;
  found.check(isBranchName(branch), "spec.source.trunk", "must be the name of a branch");
  return { repository, trunk: branch, allowUnmerged };
}

/** What git check-ref-format allows, a little narrower. */
function isBranchName(name: string): boolean {
  if (name.length > 255 || name === "@" || /[\s~^:?*[\\]|\.\.|@\{|\/\//.test(name)) return false;
  if (hasControlCharacters(name) || /^[-/]|[/.]$/.test(name)) return false;
  return name.split("/").every((part) => !part.startsWith(".") && !part.endsWith(".lock"));
}

function checkBuild(build: BuildSpec | undefined, found: Violations): BuildSpec {
  const field = "spec.build";
  const { command = [], environment = {}, artifactPath = "", maxAttempts = 0 } = build ?? {};
  checkCommand(command, `${field}.command`, found);
  const attempts = maxAttempts === 0 ? 3 : maxAttempts;
  found.check(attempts <= 10, `${field}.max_attempts`, "must be at most 10");
  return {
    command,
    environment: checkEnvironment(environment, `${field}.environment`, found),
    artifactPath: checkArtifactPath(artifactPath, `${field}.artifact_path`, found),
    artifactFormat: checkFormat(build?.artifactFormat, `${field}.artifact_format`, found),
    timeout: checkDuration(build?.timeout, `${field}.timeout`, found, {
      byDefault: 15 * MINUTE,
      least: SECOND,
      most: 24 * HOUR,
    }),
    maxAttempts: attempts,
  };
}

function checkRun(run: RunSpec | undefined, build: BuildSpec, found: Violations): RunSpec {
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
    workingDirectory: run?.workingDirectory ?? "",
    secrets: run?.secrets ?? {},
    preActivate: run?.preActivate,
    postActivate: run?.postActivate,
    drainTime: run?.drainTime,
    drain: run?.drain,
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

function checkEnvironment(
  environment: { readonly [name: string]: string },
  field: string,
  found: Violations,
): { [name: string]: string } {
  const entries = Object.entries(environment).sort(byKey);
  found.check(entries.length <= 256, field, "must have at most 256 variables");
  for (const [name, value] of entries.slice(0, 256)) {
    const at = `${field}[${JSON.stringify(name.slice(0, 100))}]`;
    const shape = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(name);
    found.check(shape, at, "must be named with letters, digits and underscores");
    found.check(value.length <= 32_768, at, "must be at most 32 Ki characters");
    checkScript(value, at, found);
  }
  return Object.fromEntries(entries);
}

function checkArtifactPath(given: string, field: string, found: Violations): string {
  if (!found.check(given !== "", field, "is missing")) return given;
  found.text(field, given, 1_024);
  found.check(!given.includes("\\"), field, "must use forward slashes");
  found.check(!given.endsWith("/"), field, "must name a file, not a folder");
  const normal = path.posix.normalize(given);
  found.check(!normal.startsWith("/"), field, "must be relative to the root of the checkout");
  const inside = normal !== ".." && !normal.startsWith("../");
  found.check(inside, field, "must not lead out of the checkout");
  found.check(normal !== ".", field, "must name a file, not the checkout");
  return normal;
}

function checkRegions(regions: readonly string[], found: Violations): string[] {
  found.check(regions.length > 0, "spec.regions", "must name at least one region");
  found.check(regions.length <= 64, "spec.regions", "must name at most 64 regions");
  for (const [index, region] of regions.slice(0, 64).entries()) {
    const field = `spec.regions[${index}]`;
    found.name(field, region);
    found.check(regions.indexOf(region) === index, field, "is there twice");
  }
  return [...regions];
}

function checkSelector(
  selector: { readonly [label: string]: string },
  found: Violations,
): { [label: string]: string } {
  const entries = Object.entries(selector).sort(byKey);
  found.check(entries.length <= 32, "spec.selector", "must have at most 32 labels");
  for (const [label, value] of entries.slice(0, 32)) {
    const field = `spec.selector[${JSON.stringify(label.slice(0, 100))}]`;
    const shape = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/.test(label);
    found.check(shape, field, "must be a label of letters, digits, dots, slashes and hyphens");
    found.text(field, value, 255);
  }
  return Object.fromEntries(entries);
}

function checkFormat(
  format: ArtifactFormat | undefined,
  field: string,
  found: Violations,
): ArtifactFormat {
  if (format === undefined || format === ArtifactFormat.UNSPECIFIED) {
    return ArtifactFormat.EXECUTABLE;
  }
  const known = format === ArtifactFormat.EXECUTABLE || format === ArtifactFormat.TAR;
  found.check(known, field, "is not a format that this coordinator knows");
  return format;
}
