import { durationFromMs, durationToMs, type Duration } from "@slipway/proto";
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

export const byKey = ([a]: [string, string], [b]: [string, string]): number => (a < b ? -1 : 1);
