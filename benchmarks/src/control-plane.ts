import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import {
  freePort,
  startChild,
  startNats,
  startPostgres,
  type PostgresServer,
} from "@slipway/examples/servers";

/** A coordinator process, on servers that are only for it. */
export interface ControlPlane {
  address: string;
  databaseUrl: string;
  natsUrl: string;
  /** The coordinator's process id. */
  pid: number;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 30_000;
const run = promisify(execFile);
const coordinatorBin = path.join(
  path.dirname(createRequire(import.meta.url).resolve("@slipway/coordinator")),
  "../bin/slipway-coordinator.js",
);

export interface ControlPlaneOptions {
  /** A server to use. Default: one of its own. */
  postgres?: PostgresServer;
  /** A directory for the coordinator's profile. */
  profile?: string | undefined;
}

/** Starts Postgres, nats-server and a coordinator, each a process of its own. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-bench-"));
  const stops: (() => Promise<void>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).toReversed()) await end();
  };
  try {
    const postgres = options.postgres ?? (await startPostgres());
    if (options.postgres === undefined) stops.push(() => postgres.stop());
    const nats = await startNats();
    stops.push(() => nats.stop());
    const goalKey = path.join(dir, "goal.key");
    await run(process.execPath, [coordinatorBin, "keygen", "--out", goalKey]);
    const address = `127.0.0.1:${await freePort()}`;
    const databaseUrl = await postgres.createDatabase("slipway");
    const config = {
      listen: address,
      nats: nats.url,
      "goal-key": goalKey,
      "database-url": databaseUrl,
      "replication-database-url": await postgres.createDatabase("slipway_replication"),
    };
    const args = Object.entries(config).map(([name, value]) => `--${name}=${value}`);
    const profiling =
      options.profile === undefined
        ? []
        : ["--cpu-prof", `--cpu-prof-dir=${path.resolve(options.profile)}`];
    const coordinator = await startChild({
      name: "coordinator",
      command: process.execPath,
      // What is measured, and compared with earlier figures, is without TLS and tokens.
      args: [...profiling, coordinatorBin, "serve", "--insecure", ...args],
      cwd: dir,
      logFile: path.join(dir, "coordinator.log"),
    });
    stops.push(async () => void (await coordinator.stop()));
    await coordinator.logged(/"msg":"listening"/, START_TIMEOUT_MS);
    return { address, databaseUrl, natsUrl: nats.url, pid: coordinator.pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
