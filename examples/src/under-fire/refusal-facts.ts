import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { LocalFleet } from "../local-fleet/index.js";

/** How processes and nats-servers say that somebody was not let in, or not let do something. */
const REFUSED =
  /UNAUTHENTICATED|PERMISSION_DENIED|nats refuses|Authorization Violation|(Permissions|Publish|Subscription) Violation|certificate has expired|unable to verify/i;
/** What is said of each log. */
const MAX_LINES = 3;

/**
 * What logs say of members of the fleet who were turned away, in words.
 * @param without - Hosts that are no members any more.
 */
export async function readRefusals(
  fleet: LocalFleet,
  without: readonly string[],
): Promise<{ logs: number; refusals: string[] }> {
  const servers = [fleet.nats, ...fleet.regionNats.values()];
  const logs = [
    ...[...fleet.processes.values()].filter(({ name }) => !without.includes(name)),
    ...servers.map(({ dir, logFile }) => ({ name: dir, logFile })),
  ];
  const refusals: string[] = [];
  for (const { name, logFile } of logs) {
    const found = await linesOf(logFile);
    refusals.push(...found.map((line) => `${name}: ${line}`));
  }
  return { logs: logs.length, refusals };
}

async function linesOf(logFile: string): Promise<string[]> {
  const found: string[] = [];
  for await (const line of createInterface({ input: createReadStream(logFile) })) {
    if (!REFUSED.test(line)) continue;
    found.push(line.slice(0, 500));
    if (found.length === MAX_LINES) break;
  }
  return found;
}
