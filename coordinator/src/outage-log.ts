import type { Logger } from "pino";
import { SignerError } from "./keys/signer.js";
import { OutageNotes } from "./outage-notes.js";
import { isDatabaseUnavailable, isMessagingUnavailable } from "./unavailable.js";

const REPEAT_MS = 20_000;
/** Longer than any loop waits between tries while it fails. */
const QUIET_MS = 10_000;
const LOOK_MS = 1_000;

/**
 * The same log, but that warnings and errors whose `err` is a server that is away are bounded,
 * whoever says them: some ten loops would each repeat theirs, several times a second. What is left
 * out is there at debug level. Answers how to stop looking for ends of outages as well.
 */
export function foldOutages(log: Logger): { log: Logger; stop: () => void } {
  const notes = new OutageNotes({ repeatMs: REPEAT_MS, quietMs: QUIET_MS });
  const fold = (level: "warn" | "error", parts: unknown[]): void => {
    const [fields, ...rest] = parts;
    const server = serverAway((fields as { err?: unknown } | undefined)?.err);
    const say = (on: "debug" | "warn" | "error", first: unknown): void =>
      Reflect.apply(log[on], log, [first, ...rest]);
    if (server === undefined) {
      say(level, fields);
      return;
    }
    const note = notes.failed(server, performance.now());
    if (note.say === "nothing") say("debug", fields);
    else say(level, { ...(fields as object), away: server, suppressed: note.suppressed });
  };
  const folded = Object.create(log) as Logger;
  folded.warn = (...parts: unknown[]) => fold("warn", parts);
  folded.error = (...parts: unknown[]) => fold("error", parts);
  const timer = setInterval(() => {
    for (const { server, durationMs, suppressed } of notes.ended(performance.now())) {
      log.info(
        { back: server, durationMs: Math.round(durationMs), suppressed },
        `${server} is back`,
      );
    }
  }, LOOK_MS);
  timer.unref();
  return { log: folded, stop: () => clearInterval(timer) };
}

function serverAway(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  if (error instanceof SignerError) return "the signer";
  if (isDatabaseUnavailable(error)) return "Postgres";
  return isMessagingUnavailable(error) ? "NATS" : undefined;
}
