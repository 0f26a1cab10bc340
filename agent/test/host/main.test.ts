import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { eventually, temporaryFolder } from "./fixtures.js";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

interface Context {
  folder: string;
  remove: () => Promise<void>;
}

const test = suite<Context>("the slipway-agent process");
const children = new Set<ChildProcess>();

/** A running agent with what it has said so far. */
function start(...args: string[]) {
  const child = spawn(process.execPath, ["--import", "tsx", main, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => (said.stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (said.stderr += data.toString()));
  const exited = once(child, "close").then(([code]) => code as number | null);
  return { child, said, exited };
}

test.before(async (context) => {
  Object.assign(context, await temporaryFolder());
  const keys = generateKeyPairSync("ed25519");
  const { folder } = context;
  await writeFile(
    path.join(folder, "key"),
    keys.privateKey.export({ format: "pem", type: "pkcs8" }),
  );
  await writeFile(
    path.join(folder, "key.pub"),
    keys.publicKey.export({ format: "pem", type: "spki" }),
  );
});

test.after(async ({ remove }) => {
  for (const child of children) child.kill("SIGKILL");
  await remove();
});

test("makes identities, and says what is wrong in one line", async ({ folder }) => {
  const make = (id: string, role: string) => {
    const out = path.join(folder, `${id}.json`);
    const key = path.join(folder, "key");
    return start(
      "identity",
      "--id",
      id,
      "--region",
      "eu",
      "--role",
      role,
      "--membership-key",
      key,
      "--out",
      out,
    );
  };
  const [host, region, bad] = [make("h1", "host"), make("eu-1", "region"), make("H", "host")];
  assert.equal(await Promise.all([host.exited, region.exited, bad.exited]), [0, 0, 2]);
  assert.is((await stat(path.join(folder, "h1.json"))).mode & 0o777, 0o600);
  assert.match(bad.said.stderr, /^error: .*'--id <name>'.*lower-case.*\n$/);
  const again = make("h1", "host");
  assert.is(await again.exited, 1);
  assert.match(again.said.stderr, /EEXIST/);
});

test("agents start with nothing to talk to, hold their data directory, and stop", async ({
  folder,
}) => {
  const file = (name: string) => path.join(folder, name);
  const [swarm, port, nowhere] = [await freePort(), await freePort(), await freePort()];
  const [regionMetrics, hostMetrics] = [await freePort(), await freePort()];
  const common = (id: string, listen: number) => ({
    id,
    region: "eu",
    "data-dir": file(`data-${id}`),
    identity: file(`${id}.json`),
    "membership-public-key": file("key.pub"),
    "region-nats": `nats://127.0.0.1:${nowhere}`,
    listen: `127.0.0.1:${listen}`,
    bootstrap: `127.0.0.1:${swarm}`,
  });
  const regionFlags = flags({
    ...common("eu-1", swarm),
    coordinator: `127.0.0.1:${nowhere}`,
    nats: `nats://127.0.0.1:${nowhere}`,
    "main-blob-store": file("main"),
    "blob-store": file("regional"),
    "metrics-listen": String(regionMetrics),
  });
  const hostFlags = flags({
    ...common("h1", port),
    "goal-public-key": file("key.pub"),
    "metrics-listen": `127.0.0.1:${hostMetrics}`,
  });
  const region = start("region", ...regionFlags);
  const host = start("host", ...hostFlags);
  await eventually("both to start", () =>
    [region, host].every(({ said }) => said.stdout.includes("agent started")),
  );
  const health = await fetch(`http://127.0.0.1:${hostMetrics}/healthz`);
  assert.is(health.status, 200);
  let said = "";
  await eventually("them to be neighbours", async () => {
    said = await scrape(hostMetrics);
    return said.includes('slipway_swarm_neighbours{kind="seeder"} 1\n');
  });
  assert.match(said, 'slipway_agent_info{role="host",id="h1",region="eu",cell="default",version=');
  assert.match(said, "slipway_store_bytes 0\n");
  const expiry = /^slipway_certificate_expiry_timestamp_seconds (\S+)$/m.exec(said)?.[1];
  assert.ok(Number(expiry) > Date.now() / 1_000 + 86_400);
  assert.match(said, "\nprocess_cpu_seconds_total ");
  assert.match(await scrape(regionMetrics), 'slipway_swarm_neighbours{kind="home"} 1\n');
  const taken = start("host", ...hostFlags);
  assert.is(await taken.exited, 1);
  assert.match(
    taken.said.stderr,
    /^slipway-agent: metrics cannot be served at 127\.0\.0\.1:\d+\n$/,
  );
  const second = start("host", ...hostFlags.slice(0, -2));
  assert.is(await second.exited, 1);
  assert.match(second.said.stderr, /^slipway-agent: process \d+ uses the data directory .*\n$/);
  assert.match(second.said.stdout, /"err":{"type":"DataDirectoryInUseError","message":/);
  for (const { child, exited, said } of [region, host]) {
    child.kill("SIGTERM");
    assert.is(await exited, 0, said.stderr);
    for (const line of said.stdout.trim().split("\n")) JSON.parse(line);
    assert.match(said.stdout, /"msg":"stopped"/);
  }
});

async function scrape(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  return response.text();
}

function flags(options: Record<string, string>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}

test.run();
