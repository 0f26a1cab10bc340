import { parseArgs } from "node:util";
import { createDisplay } from "../demo/display.js";
import { runDemo } from "../demo/demo.js";
import { runDev } from "../demo/dev.js";
import { duration } from "../demo/render.js";
import { type LocalFleet, startLocalFleet } from "./fleet.js";
import { interruption, Interrupted } from "./interruption.js";
import { report } from "./report.js";

const USAGE = `usage: local-fleet demo|dev [--keep]

  demo    deploys two commits and rolls back, checks every host, and ends
  dev     starts the same fleet and leaves it running until Ctrl-C
  --keep  leave the temporary directory behind, with every process's log`;

const started = Date.now();
const color = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
const display = createDisplay(process.stdout, color);
const stopping = interruption(() => display.line("stopping"));

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
    const reason: unknown = stopping.aborted ? stopping.reason : error;
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
      signal: stopping,
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
