import path from "node:path";
import {
  ApplicationSpec,
  type BuildSpec,
  type RunSpec,
  type SourceSpec,
  type Strategy,
} from "@slipway/proto";
import { hasControlCharacters, type Violations } from "../validate.js";
import {
  byKey,
  checkCommand,
  checkDuration,
  checkEnvironment,
  checkFormat,
  HOUR,
  MINUTE,
  SECOND,
} from "./checks.js";
import { checkHooks } from "./hooks.js";
import { checkRun } from "./run-spec.js";
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
    notificationHooks: checkHooks(spec?.notificationHooks ?? [], found),
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
