import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { createIdentity, writeIdentity } from "@slipway/agent";
import { freePort, startChild, startNats, type NatsServer } from "@slipway/examples/servers";

const START_TIMEOUT_MS = 30_000;
const LEAD_TIMEOUT_MS = 20_000;
const agentBin = path.join(
  path.dirname(createRequire(import.meta.url).resolve("@slipway/agent")),
  "../bin/slipway-agent.js",
);

/** A region agent's process between two NATS servers of their own. */
export interface Region {
  name: string;
  globalNats: NatsServer;
  regionalNats: NatsServer;
  goalKey: KeyObject;
  goalPublicKey: Buffer;
  stop(): Promise<void>;
}

/** Starts it; there is no coordinator, which goals do not need on their way. */
export async function startRegionAgent(): Promise<Region> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-bench-"));
  const stops: (() => Promise<void>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).toReversed()) await end();
  };
  try {
    const globalNats = await startNats();
    stops.push(() => globalNats.stop());
    const regionalNats = await startNats();
    stops.push(() => regionalNats.stop());
    const [membership, goals] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
    const file = (name: string): string => path.join(dir, name);
    const spki = { format: "pem", type: "spki" } as const;
    const goalPublicKey = Buffer.from(goals.publicKey.export(spki));
    await writeFile(file("goal.pub"), goalPublicKey);
    await writeFile(file("membership.pub"), membership.publicKey.export(spki));
    await mkdir(file("main"));
    const name = "eu";
    const identity = createIdentity({
      id: "eu-1",
      region: name,
      role: "region",
      membershipKey: membership.privateKey,
      expireTime: new Date(Date.now() + 24 * 3_600_000),
    });
    await writeIdentity(file("identity"), identity);
    const listen = `127.0.0.1:${await freePort()}`;
    const options = {
      id: "eu-1",
      region: name,
      coordinator: `127.0.0.1:${await freePort()}`,
      nats: globalNats.url,
      "region-nats": regionalNats.url,
      "main-blob-store": file("main"),
      "blob-store": file("regional"),
      "data-dir": file("data"),
      identity: file("identity"),
      "membership-public-key": file("membership.pub"),
      "goal-public-key": file("goal.pub"),
      listen,
      bootstrap: listen,
    };
    const args = Object.entries(options).map(([option, value]) => `--${option}=${value}`);
    const agent = await startChild({
      name: "region agent",
      command: process.execPath,
      args: [agentBin, "region", ...args],
      cwd: dir,
      logFile: file("region.log"),
    });
    stops.push(async () => void (await agent.stop()));
    await agent.logged(/region agent started/, START_TIMEOUT_MS);
    await agent.logged(/leads the region now/, LEAD_TIMEOUT_MS);
    return { name, globalNats, regionalNats, goalKey: goals.privateKey, goalPublicKey, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
