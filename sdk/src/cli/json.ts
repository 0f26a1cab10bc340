import { durationToMs, type Duration } from "@slipway/proto";
import { durationText } from "./duration-text.js";

/** A generated message type, as far as JSON goes. */
interface MessageType<T> {
  toJSON(message: T): unknown;
}

/** The protocol's fields that are durations, by their JSON names. */
const DURATION_FIELDS: ReadonlySet<string> = new Set([
  "timeout",
  "stopTimeout",
  "interval",
  "deadline",
  "drainTime",
  "bakeTime",
  "stageTimeout",
  "activateTimeout",
  "eta",
]);

/**
 * A message as the protocol's JSON: names in lowerCamelCase, enums by their full names, times as RFC
 * 3339, fields at their zero value left out; durations as "1h30m".
 */
export function messageJson<T>(type: MessageType<T>, message: T): unknown {
  return withDurationTexts(type.toJSON(message));
}

function withDurationTexts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withDurationTexts);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      DURATION_FIELDS.has(key) && isDuration(field)
        ? durationText(durationToMs({ seconds: 0, nanos: 0, ...field }, 0))
        : withDurationTexts(field),
    ]),
  );
}

function isDuration(value: unknown): value is Partial<Duration> {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.keys(value).every((key) => key === "seconds" || key === "nanos")
  );
}
