import { FleetError } from "./fleet-error.js";
import { readableLogLine } from "./log-lines.js";

/** Says on standard error why a fleet, or something done with it, failed. */
export function report(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`\n${message}\n`);
  const logs = error instanceof FleetError ? error.logs : [];
  for (const { name, tail } of logs) {
    const lines = tail.split("\n").map((line) => `  ${readableLogLine(line)}`);
    process.stderr.write(`\nthe end of ${name}'s log:\n${lines.join("\n")}\n`);
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : "";
  if (logs.length === 0 && !message.includes(cause)) {
    process.stderr.write(`  because: ${cause}\n`);
  }
}
