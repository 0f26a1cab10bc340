import { readFile } from "node:fs/promises";
import type { LocalFleet } from "../local-fleet/index.js";
import type { LeaseFact } from "./facts.js";

interface LogLine {
  msg?: string;
  lease?: { buildId: string; attempt: number };
}

/** What builders logged of the builds that they were given. */
export async function readLeases({ processes }: LocalFleet): Promise<LeaseFact[]> {
  const facts: LeaseFact[] = [];
  for (const { kind, name, logFile } of processes.values()) {
    if (kind !== "builder") continue;
    for (const line of (await readFile(logFile, "utf8")).split("\n")) {
      const { msg, lease } = parse(line);
      if (msg !== "leased" || lease === undefined) continue;
      facts.push({ builder: name, id: lease.buildId, attempt: lease.attempt });
    }
  }
  return facts;
}

/** Nothing of a line that a kill has cut off. */
function parse(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return {};
  }
}
