import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { Endings } from "@slipway/proto/files";
import { Registry } from "prom-client";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createAuthority, issueCertificate, type PemPair } from "../../src/init/certificates.js";
import { registerCoordinator } from "../../src/metrics/coordinator-metrics.js";
import { connectNats } from "../../src/nats.js";
import { readCredentials } from "../../src/nats-access/credentials-file.js";
import { natsEndingsOf } from "../../src/nats-access/endings.js";
import { Stats } from "../../src/stats.js";
import { silent } from "../postgres.js";
import { startWorld, type World } from "./world.js";

const test = suite("what ends on NATS");
const DAY_S = 86_400;
let dir: string;
let authority: PemPair;
let world: World;
const file = (name: string): string => path.join(dir, name);

async function serveCertificate(days: number): Promise<void> {
  const pair = await issueCertificate(authority, { names: ["localhost"], days, use: "server" });
  await writeFile(file("server.crt"), pair.certificate);
  await writeFile(file("server.key"), pair.key, { mode: 0o600 });
}

test.before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "slipway-nats-endings-"));
  authority = await createAuthority(400);
  await writeFile(file("ca.crt"), authority.certificate);
  await serveCertificate(20);
  const tls = { certFile: file("server.crt"), keyFile: file("server.key") };
  world = await startWorld({ tls, days: 25 });
});
test.after(async () => {
  await world?.close();
  await rm(dir, { recursive: true, force: true });
});

test("users in files and the server's certificate are warned of, until there are others", async () => {
  const natsCredentialsFile = path.join(world.out, "coordinator.creds");
  const nats = await connectNats(
    {
      urls: [`localhost:${world.server.port}`],
      credentials: await readCredentials(natsCredentialsFile),
      caFile: file("ca.crt"),
    },
    silent,
  );
  try {
    const config = {
      natsCredentialsFile,
      natsRevocation: {
        systemCredentialsFile: path.join(world.out, "system.creds"),
        operatorKeyFile: "",
        regionUrls: {},
      },
    };
    const warnings = async (): Promise<string[]> => {
      const said: string[] = [];
      const log = {
        warn: (fields: { what?: string }, text: string) => said.push(`${fields.what}: ${text}`),
      };
      await new Endings(natsEndingsOf(config, nats), log).look();
      return said;
    };
    const [credentials = "", system = "", server = ""] = await warnings();
    assert.match(credentials, /^credentials: .*--nats-credentials .*coordinator\.creds ends soon/);
    assert.match(system, /^system_credentials: .*system\.creds ends soon.*--renew system/);
    assert.match(server, /^server_certificate: .*ends soon.*slipway-coordinator certificate/);
    const { timestamps } = new Endings(natsEndingsOf(config, nats), silent);
    const daysLeft = (what: string) =>
      Math.round(((timestamps[what] ?? 0) - Date.now() / 1_000) / DAY_S);
    assert.equal(
      ["credentials", "system_credentials", "server_certificate"].map(daysLeft),
      [25, 25, 20],
    );
    const registry = new Registry();
    registerCoordinator(registry, {
      stats: new Stats(),
      builders: () => 0,
      twins: () => ({ builder: 0, region: 0, host: 0 }),
      deployments: () => undefined,
      connected: () => ({ postgres: true, nats: true }),
      natsEndings: () => timestamps,
      keySet: () => undefined,
      endingTokens: () => [],
    });
    const told = `slipway_nats_expiry_timestamp_seconds{what="server_certificate"} ${timestamps["server_certificate"]}`;
    assert.ok((await registry.metrics()).split("\n").includes(told));
    // The connection stays, and with it what was seen when it was made.
    await serveCertificate(300);
    process.kill(world.server.pid, "SIGHUP");
    await world.generate({ renew: ["coordinator", "system"], days: 200 });
    const deadline = Date.now() + 15_000;
    let left = await warnings();
    while (left.length > 0 && Date.now() < deadline) left = await warnings();
    assert.equal(left, []);
  } finally {
    await nats.connection.close();
  }
});

test.run();
