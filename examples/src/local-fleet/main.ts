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

/** As shells give them to what a signal ended. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 };
const IMPATIENT_MS = 1_000;
const PARENT_CHECK_MS = 500;

class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: keyof typeof EXIT_CODES) {
    super(`stopped by ${signal}`);
    this.exitCode = EXIT_CODES[signal];
  }
}

const started = Date.now();
const color = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
const display = createDisplay(process.stdout, color);
const stopping = new AbortController();
let stoppingSince = Number.POSITIVE_INFINITY;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    // npm passes on what the terminal sends to us as well: twice at once is once. Later it is
    // impatience, and the guardian ends what is left.
    if (Date.now() - stoppingSince > IMPATIENT_MS) process.exit(EXIT_CODES[signal]);
    stop(new Interrupted(signal));
  });
}
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  stop(error.code === "EPIPE" ? new Interrupted("SIGPIPE") : error);
});
process.stderr.on("error", () => undefined);
watchParent();

const command = parse();
if (command === undefined) {
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = await main(command);
}

function stop(reason: Error): void {
  if (stopping.signal.aborted) return;
  stoppingSince = Date.now();
  stopping.abort(reason);
  display.line("stopping");
}

/** npm, or its shell, may be ended without a word to us; nobody would ever end the fleet then. */
function watchParent(): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const check = (): void => {
    if (process.ppid !== parent) stop(new Interrupted("SIGHUP"));
  };
  setInterval(check, PARENT_CHECK_MS).unref();
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
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : "";
  if (logs.length === 0 && !message.includes(cause)) {
    process.stderr.write(`  because: ${cause}\n`);
  }
}
