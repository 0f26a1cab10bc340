import { InvalidArgumentError, Option } from "commander";
import { ConfigError, parseInteger, parseList, parseName } from "../config.js";

/** An option that may also come from the environment, as SLIPWAY_ and its name. */
export function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  return made.env(`SLIPWAY_${made.name().toUpperCase().replaceAll("-", "_")}`);
}

/** An option with a default. */
export function may<T>(
  flags: string,
  description: string,
  parse: (text: string, before: T) => T,
): Option {
  return option(flags, description).argParser<T>((text, before) => {
    try {
      return parse(text, before);
    } catch (error) {
      if (error instanceof ConfigError) throw new InvalidArgumentError(`It ${error.message}.`);
      throw error;
    }
  });
}

/** An option that must be given. */
export function need(
  flags: string,
  description: string,
  parse: (text: string) => unknown = parseText,
): Option {
  return may(flags, description, parse).makeOptionMandatory();
}

export function parseText(text: string): string {
  if (text === "") throw new ConfigError("must not be empty");
  return text;
}

export function parseCount(text: string): number {
  return parseInteger(text, 1, 2 ** 31 - 1);
}

export function parseCells(text: string): string[] {
  return parseList(text).map(parseName);
}
