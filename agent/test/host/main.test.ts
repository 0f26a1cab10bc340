import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { type KeyObject, generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, copyFile, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDirectoryBlobStore, putFile } from "../../src/blob/index.js";
import {
  type Swarm,
  artifactDigest,
  chunkFile,
  createIdentity,
  join,
  openArtifactStore,
  readPrivateKey,
  readPublicKey,
} from "../../src/swarm/index.js";
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
    { mode: 0o600 },
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

/** A host's options: those that are the same in the tests of what cannot be used. */
const hostWith = (folder: string, other: Record<string, string>) =>
  flags({
    id: "h1",
    region: "eu",
    "data-dir": path.join(folder, "data-unusable"),
    identity: path.join(folder, "h1.json"),
    "membership-public-key": path.join(folder, "key.pub"),
    "goal-public-key": path.join(folder, "key.pub"),
    "region-nats": "nats://127.0.0.1:1",
    listen: "127.0.0.1:1024",
    bootstrap: "127.0.0.1:1025",
    ...other,
  });

test("files and directories that cannot be used are told once, by option, at the start", async ({
  folder,
}) => {
  const file = (name: string) => path.join(folder, name);
  await copyFile(file("h1.json"), file("open.json"));
  await chmod(file("open.json"), 0o644);
  await writeFile(file("no-ca"), "nothing");
  await writeFile(file("no-json.json"), "nothing", { mode: 0o600 });
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  await writeFile(file("ec.pub"), publicKey.export({ type: "spki", format: "pem" }));
  await writeFile(file("in-the-way"), "");
  const cases: [Record<string, string>, RegExp][] = [
    [
      { identity: file("open.json") },
      /--identity: .*open\.json .*\(mode 0644\): chmod 600 .*open\.json/,
    ],
    [{ "nats-ca": file("no-ca") }, /--nats-ca: .*no-ca holds no certificate in PEM/],
    [{ "nats-ca": file("none") }, /--nats-ca: .*none cannot be read: ENOENT/],
    [{ "coordinator-ca": file("key.pub") }, /--coordinator-ca: .*key\.pub holds no certificate/],
    [{ identity: file("no-json.json") }, /^slipway-agent: --identity: .*no-json\.json is no JSON/],
    [
      { "membership-public-key": file("ec.pub") },
      /^slipway-agent: --membership-public-key: .*ec\.pub holds a key that is not Ed25519/,
    ],
    [{ "data-dir": "/proc/slipway/data" }, /--data-dir \/proc\/slipway\/data cannot be made/],
    [{ "data-dir": file("in-the-way/data") }, /--data-dir .*in-the-way\/data cannot be made or/],
  ];
  for (const [options, reason] of cases) {
    const agent = start("host", ...hostWith(folder, options));
    assert.is(await agent.exited, 1);
    assert.match(agent.said.stderr, reason);
    assert.is(agent.said.stderr.split("\n").length, 2, "one line");
    assert.is(agent.said.stdout, "", "and nowhere else");
  }
});

test("a signal ends an agent that waits for a coordinator at its start", async ({ folder }) => {
  const token = path.join(folder, "join-token");
  await writeFile(token, "slipway_a_b\n", { mode: 0o600 });
  const nowhere = await freePort();
  const agent = start(
    "host",
    ...hostWith(folder, {
      identity: path.join(folder, "never.json"),
      "join-token-file": token,
      coordinator: `127.0.0.1:${nowhere}`,
    }),
  );
  await eventually("an agent that waits", () =>
    agent.said.stdout.includes("cannot join the fleet"),
  );
  agent.child.kill("SIGTERM");
  assert.is(await agent.exited, 0);
  assert.is(agent.said.stderr, "");
});

test("a second signal ends one that hangs in a file system at its start", async ({ folder }) => {
  const pipe = path.join(folder, "pipe.json");
  assert.is(spawnSync("sh", ["-c", `mkfifo -m 600 "$0"`, pipe]).status, 0);
  // Nobody writes to it, and no thread of the agent's gets on before.
  const agent = start("host", ...hostWith(folder, { identity: pipe }));
  const data = path.join(folder, "data-unusable");
  await eventually("an agent that has begun", async () =>
    (await readdir(data).catch(() => [])).some((name) => name.startsWith("lock.")),
  );
  agent.child.kill("SIGTERM");
  await eventually("an agent that was told", () => agent.said.stdout.includes("stopping"));
  agent.child.kill("SIGTERM");
  assert.is(await agent.exited, null);
  assert.is(agent.child.signalCode, "SIGKILL");
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
  assert.match(
    second.said.stderr,
    /^slipway-agent: the lock file \S+ says that process \d+ has the data directory .*\n$/,
  );
  assert.is(second.said.stdout, "", "and nowhere else");
  for (const { child, exited, said } of [region, host]) {
    child.kill("SIGTERM");
    assert.is(await exited, 0, said.stderr);
    for (const line of said.stdout.trim().split("\n")) JSON.parse(line);
    assert.match(said.stdout, /"msg":"stopped"/);
  }
});

test("a process's metrics count the bytes that it gives away, and those who ask without right", async ({
  folder,
}) => {
  const file = (name: string) => path.join(folder, name);
  const [swarm, metrics, nowhere] = [await freePort(), await freePort(), await freePort()];
  const content = randomBytes(3_000_000);
  await writeFile(file("artifact"), content);
  const manifest = await chunkFile(file("artifact"));
  const digest = artifactDigest(manifest);
  await putFile(await openDirectoryBlobStore(file("seeded")), file("artifact"), manifest);
  const region = start(
    "region",
    ...flags({
      id: "eu-1",
      region: "eu",
      "data-dir": file("data-seeder"),
      identity: file("eu-1.json"),
      "membership-public-key": file("key.pub"),
      "region-nats": `nats://127.0.0.1:${nowhere}`,
      listen: `127.0.0.1:${swarm}`,
      bootstrap: `127.0.0.1:${swarm}`,
      coordinator: `127.0.0.1:${nowhere}`,
      nats: `nats://127.0.0.1:${nowhere}`,
      "main-blob-store": file("main"),
      "blob-store": file("seeded"),
      "metrics-listen": String(metrics),
    }),
  );
  await eventually("it to start", () => region.said.stdout.includes("agent started"));
  assert.match(await scrape(metrics), "\nslipway_swarm_sent_bytes_total 0\n");
  const member = async (membershipKey: KeyObject): Promise<Swarm> =>
    join({
      identity: createIdentity({
        id: "h2",
        region: "eu",
        role: "host",
        membershipKey,
        expireTime: new Date(Date.now() + 3_600_000),
      }),
      membershipPublicKey: await readPublicKey(file("key.pub")),
      cell: "default",
      listen: { host: "127.0.0.1", port: await freePort() },
      bootstrap: [{ host: "127.0.0.1", port: swarm }],
    });
  const host = await member(await readPrivateKey(file("key")));
  const stranger = await member(generateKeyPairSync("ed25519").privateKey);
  const store = await openArtifactStore(file("store"));
  try {
    const signal = AbortSignal.timeout(30_000);
    for await (const _ of host.fetch(digest, { store, signal, to: file("copy") })) {
      // Its progress is of no interest here.
    }
    assert.ok((await readFile(file("copy"))).equals(content));
    let said = "";
    await eventually("the stranger to be counted", async () => {
      said = await scrape(metrics);
      return /^slipway_swarm_membership_refusals_total [1-9]/m.test(said);
    });
    assert.match(said, `\nslipway_swarm_sent_bytes_total ${content.length}\n`);
    assert.match(said, '\nslipway_swarm_neighbours{kind="home"} 1\n');
    for (const zero of ["hedged_requests", "verify_failures", "bans", "protocol_errors"]) {
      assert.match(said, `\nslipway_swarm_${zero}_total 0\n`);
    }
    // As Prometheus would read it: every line is a comment or a sample.
    for (const line of said.trim().split("\n")) {
      assert.match(line, /^(# (HELP|TYPE) \w+ .+|[a-z_]\w*(\{[^{}]*\})? -?[\d.e+-]+|)$/i);
    }
  } finally {
    await Promise.all([host.close(), stranger.close()]);
    await store.close();
  }
  region.child.kill("SIGTERM");
  assert.is(await region.exited, 0, region.said.stderr);
});

async function scrape(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  return response.text();
}

function flags(options: Record<string, string>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}

test.run();
