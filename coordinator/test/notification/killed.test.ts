import { spawn, type ChildProcess } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startNats, startPostgres, type PostgresServer } from "@slipway/examples/servers";
import { Deployment } from "@slipway/proto";
import type { Knex } from "knex";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkSpec } from "../../src/application/spec.js";
import { applyApplication } from "../../src/application/store.js";
import { generateKey } from "../../src/keygen.js";
import { enqueueNotification } from "../../src/notification/outbox.js";
import { uuidv7 } from "../../src/uuid.js";
import { Violations } from "../../src/validate.js";
import { eventually, goodSpec, openPool } from "../postgres.js";
import { startHookServer, type HookServer } from "./hook-server.js";

const test = suite("a coordinator that is killed while it sends");
const bin = fileURLToPath(new URL("../../bin/slipway-coordinator.js", import.meta.url));
let dir: string;
let postgres: PostgresServer;
let nats: Awaited<ReturnType<typeof startNats>>;
let hook: HookServer;
let db: Knex;
let args: string[];
const children: ChildProcess[] = [];

test.before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "slipway-killed-"));
  await chmod(dir, 0o711);
  postgres = await startPostgres({ dir: path.join(dir, "postgres") });
  nats = await startNats({ dir: path.join(dir, "nats") });
  hook = await startHookServer();
  const url = await postgres.createDatabase("main");
  await generateKey(path.join(dir, "goal"));
  await writeFile(path.join(dir, "secret"), "a secret that is long enough\n", { mode: 0o600 });
  db = openPool(url);
  args = [
    "serve",
    "--insecure",
    "--listen=127.0.0.1:0",
    `--database-url=${url}`,
    `--replication-database-url=${await postgres.createDatabase("replication")}`,
    `--nats=${nats.url}`,
    `--goal-key=${path.join(dir, "goal")}`,
    `--hook-secret-file=${path.join(dir, "secret")}`,
    "--log-level=fatal",
  ];
});
test.after(async () => {
  for (const child of children) child.kill("SIGKILL");
  await db?.destroy();
  await hook?.close();
  await nats?.stop();
  await postgres?.stop();
  await rm(dir, { recursive: true, force: true });
});

function start(): ChildProcess {
  const child = spawn(process.execPath, [bin, ...args], { stdio: "ignore" });
  children.push(child);
  return child;
}

test("between sending and marking: sent again with the same id, by another", async () => {
  const first = start();
  const migrated = async (): Promise<boolean> =>
    (await db.schema.hasTable("notifications")) || false;
  await eventually(migrated, 30_000);
  const spec = goodSpec({ notificationHooks: [{ url: hook.url }] });
  await applyApplication(db, "shop", checkSpec(spec, new Violations()), 0);
  hook.answer((response) => {
    // It has taken the notification, and the sender never hears of it.
    first.kill("SIGKILL");
    first.once("exit", () => response.writeHead(200).end());
  });
  const deployment = Deployment.fromPartial({ id: uuidv7(), application: "shop" });
  await db.transaction((trx) => enqueueNotification(trx, deployment));
  await eventually(() => hook.received[0], 20_000);
  await eventually(() => first.signalCode ?? undefined);
  const [row] = (await db("notifications")) as { id: string; state: string }[];
  assert.is(row?.state, "PENDING");
  // The claim of the one that was killed runs out.
  await db("notifications").update({ next_time: db.raw("clock_timestamp()") });
  hook.answer((response) => void response.writeHead(200).end());
  start();
  await eventually(() => hook.received[1], 30_000);
  await eventually(async () => (await db("notifications").where({ state: "DELIVERED" }))[0]);
  assert.equal(
    hook.received.map(({ id }) => id),
    [row?.id, row?.id],
  );
});

test.run();
