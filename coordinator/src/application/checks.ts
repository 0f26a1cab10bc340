import { ArtifactFormat, durationFromMs, durationToMs, type Duration } from "@slipway/proto";
import { hasControlCharacters, type Violations } from "../validate.js";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** A command and its arguments: there must be one, within bounds. */
export function checkCommand(command: readonly string[], field: string, found: Violations): void {
  if (!found.check(command.length > 0 && command[0] !== "", field, "is missing")) return;
  found.check(command.length <= 256, field, "must have at most 256 arguments");
  for (const [index, argument] of command.slice(0, 256).entries()) {
    found.check(
      argument.length <= 65_536,
      `${field}[${index}]`,
      "must be at most 64 Ki characters",
    );
    checkScript(argument, `${field}[${index}]`, found);
  }
}

/** Arguments and values may be scripts of several lines, nothing else that steers a terminal. */
export function checkScript(text: string, field: string, found: Violations): void {
  const clean = !hasControlCharacters(text.replaceAll(/[\n\r\t]/g, ""));
  found.check(clean, field, "must not contain control characters other than tabs and line ends");
}

/** Variables, ordered by name. */
export function checkEnvironment(
  environment: { readonly [name: string]: string },
  field: string,
  found: Violations,
): { [name: string]: string } {
  const entries = Object.entries(environment).sort(byKey);
  found.check(entries.length <= 256, field, "must have at most 256 variables");
  for (const [name, value] of entries.slice(0, 256)) {
    const at = `${field}[${JSON.stringify(name.slice(0, 100))}]`;
    checkVariableName(name, at, found);
    found.check(value.length <= 32_768, at, "must be at most 32 Ki characters");
    checkScript(value, at, found);
  }
  return Object.fromEntries(entries);
}

export function checkVariableName(name: string, field: string, found: Violations): void {
  const shape = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(name);
  found.check(shape, field, "must be named with letters, digits and underscores");
}

/** Executable, unless another one is named. */
export function checkFormat(
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

/** The duration, or the default for an absent one. Bounds are in milliseconds. */
export function checkDuration(
  duration: Duration | undefined,
  field: string,
  found: Violations,
  { byDefault, least, most }: { byDefault: number; least: number; most: number },
): Duration {
  const ms = durationToMs(duration, byDefault);
  const within = ms >= least && ms <= most;
  found.check(within, field, `must be between ${least / SECOND} and ${most / SECOND} seconds`);
  return within ? durationFromMs(ms) : durationFromMs(byDefault);
}

export const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);
