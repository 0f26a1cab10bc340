import type { Duration } from "../gen/google/protobuf/duration.js";

/** Milliseconds of a protobuf duration; the default for an absent one. */
export function durationToMs(duration: Duration | undefined, defaultMs: number): number {
  if (duration === undefined) return defaultMs;
  return duration.seconds * 1000 + duration.nanos / 1e6;
}

/** A protobuf duration of so many milliseconds. */
export function durationFromMs(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
