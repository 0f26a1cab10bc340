import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { Interrupted, interruption } from "../local-fleet/interruption.js";
import { report } from "../local-fleet/report.js";
import { reportLines } from "./report-lines.js";
import { runUnderFire } from "./run.js";
import { type Scale, soakScale } from "./scale.js";

const USAGE = `usage: soak [--minutes 10] [--seed N] [--builds 1000] [--deployments 50]

  Builds and deploys on a fleet of this machine while its processes and servers are killed, waits for
  quiet, and checks what always holds. Exits 1, and keeps the logs, if something does not.`;
const MAX_SEED = 2 ** 31;

const line = (text: string): void => void process.stdout.write(`${text}\n`);
const stopping = interruption(() => line("stopping"));
const scale = parse();
if (scale === undefined) {
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = await main(scale);
}

function parse(): Scale | undefined {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: "string", default: "10" },
        seed: { type: "string", default: String(randomInt(MAX_SEED)) },
        builds: { type: "string", default: "1000" },
        deployments: { type: "string", default: "50" },
      },
    });
    const minutes = Number(values.minutes);
    const [seed, builds, deployments] = [values.seed, values.builds, values.deployments].map(whole);
    if (!(minutes > 0 && minutes <= 24 * 60) || seed === undefined) return undefined;
    if (builds === undefined || deployments === undefined) return undefined;
    return soakScale({ seed, minutes, builds, deployments });
  } catch {
    return undefined;
  }
}

function whole(text: string): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(text) && value < MAX_SEED ? value : undefined;
}

async function main(asked: Scale): Promise<number> {
  line(`seed ${asked.seed}`);
  try {
    const result = await runUnderFire(asked, { signal: stopping, onLine: line });
    for (const text of reportLines(result)) line(text);
    return result.verdicts.every(({ violations }) => violations.length === 0) ? 0 : 1;
  } catch (error) {
    const reason: unknown = stopping.aborted ? stopping.reason : error;
    if (reason instanceof Interrupted) {
      line("everything is stopped");
      return reason.exitCode;
    }
    report(reason);
    return 1;
  }
}
