import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { freePort, startNats, startPostgres } from "../../src/servers/index.js";
import { isAlive, waitUntilGone } from "../../src/processes/signals.js";
import { waitFor } from "../wait-for.js";

const servers = suite("servers");

async function query(connectionString: string, sql: string): Promise<unknown> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows[0]?.["value"];
  } finally {
    await client.end();
  }
}

servers("postgres is durable, on loopback, and gone after stop", async () => {
  const postgres = await startPostgres();
  try {
    const url = await postgres.createDatabase("with-hyphen");
    assert.is(await query(url, "select current_database() as value"), "with-hyphen");
    assert.is(await query(url, "select current_setting('fsync') as value"), "on");
    assert.is(await query(url, "select current_setting('listen_addresses') as value"), "127.0.0.1");
    const stranger = url.replace(/postgres:[0-9a-f]+@/, "postgres:wrong@");
    const refused = await query(stranger, "select 1").catch((error: Error) => error.message);
    assert.match(String(refused), /password authentication failed/);
  } finally {
    await postgres.stop();
    await postgres.stop();
  }
  assert.not(isAlive(postgres.pid));
  assert.not(existsSync(postgres.dir));
});

servers("postgres keeps its data in a given directory", async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-test-"));
  try {
    const first = await startPostgres({ dir });
    const url = await first.createDatabase("kept");
    await query(url, "create table t as select 7 as value");
    await first.stop();
    const second = await startPostgres({ dir, port: first.port });
    assert.is(second.url("kept"), url);
    assert.is(await query(url, "select value from t"), 7);
    await second.stop();
  } finally {
    await rm(dir, { recursive: true });
  }
});

servers("nats has JetStream and is gone after stop", async () => {
  const nats = await startNats();
  const socket = connect(nats.port, "127.0.0.1");
  const [greeting] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  const info = JSON.parse(greeting.toString().replace(/^INFO /, "")) as Record<string, unknown>;
  assert.is(info["jetstream"], true);
  assert.is(info["host"], "127.0.0.1");
  await nats.stop();
  await nats.stop();
  assert.not(isAlive(nats.pid));
  assert.not(existsSync(nats.dir));
});

servers("a server that cannot start says why", async () => {
  const nats = await startNats();
  try {
    const error = await startNats({ port: nats.port }).catch((reason: Error) => reason);
    assert.instance(error, Error);
    assert.match((error as Error).message, /nats-server ended[^]*address already in use/);
  } finally {
    await nats.stop();
  }
});

servers("free ports are free and never the same", async () => {
  const ports = await Promise.all(Array.from({ length: 100 }, freePort));
  assert.is(new Set(ports).size, 100);
  assert.ok(ports.every((port) => port > 1024 && port < 32_768));
});

servers("nothing outlives a killed owner", async () => {
  const script = fileURLToPath(new URL("fixtures/owner.ts", import.meta.url));
  const owner = spawn(process.execPath, ["--import", "tsx", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface({ input: owner.stdout }), "line")) as [string];
  const { pids, directories } = JSON.parse(line) as { pids: number[]; directories: string[] };
  assert.ok(pids.every(isAlive));
  assert.ok(directories.every(existsSync));
  owner.kill("SIGKILL");
  assert.ok(await waitUntilGone(pids, 10_000), "servers still run");
  await waitFor(() => !directories.some(existsSync), 10_000, "removed directories");
});

servers.run();
