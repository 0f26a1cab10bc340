import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePort, startNats, startPostgres } from "@slipway/examples/servers";

/** A coordinator process on servers of its own. */
export interface ControlPlane {
  address: string;
  stop(): Promise<void>;
}

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
    await finished(["keygen", "--out", goalKey]);
    const address = `127.0.0.1:${await freePort()}`;
    const options = {
      listen: address,
      nats: nats.url,
      "goal-key": goalKey,
      "database-url": await postgres.createDatabase("slipway"),
      "replication-database-url": await postgres.createDatabase("slipway_replication"),
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(process.execPath, [coordinatorBin, "serve", ...args]);
    stops.push(async () => {
      child.kill("SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    });
    await listening(child);
    return { address, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function finished(args: string[]): Promise<void> {
  const child = spawn(process.execPath, [coordinatorBin, ...args], { stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`slipway-coordinator ${args[0]} ended with ${code}`);
}

function listening(child: ReturnType<typeof spawn>): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => reject(new Error(`no coordinator:\n${output}`)), 30_000);
    child.stdout?.on("data", (data: Buffer) => {
      output = (output + data.toString()).slice(-10_000);
      if (output.includes('"msg":"listening"')) done(resolve);
    });
    child.stderr?.on("data", (data: Buffer) => (output += data.toString()));
    child.once("exit", (code) => done(() => reject(new Error(`exit ${code}:\n${output}`))));
    const done = (then: () => void): void => {
      clearTimeout(timer);
      then();
    };
  });
}
