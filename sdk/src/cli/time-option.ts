import { InvalidArgumentError } from "commander";
import { parseDuration } from "./duration-text.js";

/** A time in the past, once it is known what time it is now. */
export type Since = (now: number) => Date;

/** Reads a duration above zero: milliseconds. */
export function parseDurationOption(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  throw new InvalidArgumentError("It must be a duration such as 90m, 12h or 3d.");
}

/** Reads a point in time as RFC 3339 has it; a date alone is its first moment in UTC. */
export function parseTimeOption(text: string): Date {
  const time = timeOf(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError("It must be a time such as 2026-12-24T18:00:00Z.");
}

/** Reads how long ago, or a point in time. */
export function parseSinceOption(text: string): Since {
  const ms = parseDuration(text);
  if (ms !== undefined) return (now) => new Date(now - ms);
  const time = timeOf(text);
  if (time !== undefined) return () => time;
  throw new InvalidArgumentError("It must be a duration such as 2h, or a time such as 2026-12-24.");
}

function timeOf(text: string): Date | undefined {
  const shape = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/i;
  const time = new Date(text);
  return shape.test(text) && !Number.isNaN(time.getTime()) ? time : undefined;
}
