import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { freePort, startChild, startNats, startPostgres } from "@slipway/examples/servers";

/** A coordinator process on servers of its own. */
export interface ControlPlane {
  address: string;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 30_000;
const run = promisify(execFile);
const coordinatorBin = path.join(
  path.dirname(createRequire(import.meta.url).resolve("@slipway/coordinator")),
  "../bin/slipway-coordinator.js",
);

/** Starts Postgres, nats-server and a coordinator, each a process of its own. */
export async function startControlPlane(): Promise<ControlPlane> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-bench-"));
  const stops: (() => Promise<void>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).toReversed()) await end();
  };
  try {
    const postgres = await startPostgres();
    stops.push(() => postgres.stop());
    const nats = await startNats();
    stops.push(() => nats.stop());
    const goalKey = path.join(dir, "goal.key");
    await run(process.execPath, [coordinatorBin, "keygen", "--out", goalKey]);
    const address = `127.0.0.1:${await freePort()}`;
    const options = {
      listen: address,
      nats: nats.url,
      "goal-key": goalKey,
      "database-url": await postgres.createDatabase("slipway"),
      "replication-database-url": await postgres.createDatabase("slipway_replication"),
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const coordinator = await startChild({
      name: "coordinator",
      command: process.execPath,
      args: [coordinatorBin, "serve", ...args],
      cwd: dir,
      logFile: path.join(dir, "coordinator.log"),
    });
    stops.push(async () => void (await coordinator.stop()));
    await coordinator.logged(/"msg":"listening"/, START_TIMEOUT_MS);
    return { address, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
