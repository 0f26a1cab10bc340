import { parseArgs } from "node:util";
import { createDisplay } from "../demo/display.js";
import { runDemo } from "../demo/demo.js";
import { runDev } from "../demo/dev.js";
import { duration } from "../demo/render.js";
import { FleetError } from "./fleet-error.js";
import { type LocalFleet, startLocalFleet } from "./fleet.js";
import { readableLogLine } from "./log-lines.js";

const USAGE = `usage: local-fleet demo|dev [--keep]

  demo    deploys two commits and rolls back, checks every host, and ends
  dev     starts the same fleet and leaves it running until Ctrl-C
  --keep  leave the temporary directory behind, with every process's log`;

class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: NodeJS.Signals) {
    super(`stopped by ${signal}`);
    this.exitCode = signal === "SIGINT" ? 130 : 143;
  }
}

const started = Date.now();
const color = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
const display = createDisplay(process.stdout, color);
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    // The guardian ends what is left.
    if (stopping.signal.aborted) process.exit(new Interrupted(signal).exitCode);
    display.line("stopping");
    stopping.abort(new Interrupted(signal));
  });
}

const command = parse();
if (command === undefined) {
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = await main(command);
}

function parse(): { run: "demo" | "dev"; keep: boolean } | undefined {
  try {
    const options = { keep: { type: "boolean", default: false } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const [run] = positionals;
    if (positionals.length !== 1 || (run !== "demo" && run !== "dev")) return undefined;
    return { run, keep: values.keep };
  } catch {
    return undefined;
  }
}

async function main({ run, keep }: { run: "demo" | "dev"; keep: boolean }): Promise<number> {
  let fleet: LocalFleet | undefined;
  try {
    fleet = await start(keep);
    await (run === "demo" ? runDemo(fleet, display) : runDev(fleet, display));
    await fleet.stop();
    display.heading(`All of it is true. ${duration(Date.now() - started)} from start to end.`);
    return 0;
  } catch (error) {
    await fleet?.stop();
    const reason: unknown = stopping.signal.aborted ? stopping.signal.reason : error;
    if (reason instanceof Interrupted) {
      display.line("everything is stopped");
      return run === "dev" ? 0 : reason.exitCode;
    }
    report(reason);
    if (keep && fleet !== undefined) display.line(`logs: ${fleet.dir}/logs`);
    return 1;
  }
}

async function start(keep: boolean): Promise<LocalFleet> {
  display.heading("Slipway: from a commit to running on every host, on this machine");
  const activity = display.activity("fleet");
  try {
    const fleet = await startLocalFleet({
      keep,
      signal: stopping.signal,
      onProgress: (what) => activity.update(`starting ${what}`),
    });
    const builders = [...fleet.processes.values()].filter(({ kind }) => kind === "builder");
    activity.done(
      `${fleet.hosts.length} hosts in ${fleet.regions.length} regions, ${builders.length} builders, ` +
        "coordinator, postgres, nats-server",
    );
    return fleet;
  } catch (error) {
    activity.failed();
    throw error;
  }
}

function report(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`\n${message}\n`);
  const logs = error instanceof FleetError ? error.logs : [];
  for (const { name, tail } of logs) {
    const lines = tail.split("\n").map((line) => `  ${readableLogLine(line)}`);
    process.stderr.write(`\nthe end of ${name}'s log:\n${lines.join("\n")}\n`);
  }
  if (logs.length === 0 && error instanceof Error && error.cause instanceof Error) {
    process.stderr.write(`  because: ${error.cause.message}\n`);
  }
}
