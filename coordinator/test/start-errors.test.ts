import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CoordinatorOptions } from "../src/config.js";
import { withOption } from "../src/db/refused.js";
import { isSameDatabase } from "../src/db/same-database.js";
import { startCoordinator } from "../src/index.js";
import { generateKey } from "../src/keygen.js";
import { openTestDatabase, type TestDatabase } from "./postgres.js";

const test = suite("what a start ends with");
let database: TestDatabase;
let dir: string;
let replicationUrl: string;
test.before(async () => {
  database = await openTestDatabase();
  replicationUrl = await database.server.createDatabase("replication");
  dir = await mkdtemp(path.join(tmpdir(), "slipway-start-errors-"));
  await generateKey(path.join(dir, "key"));
});
test.after(async () => {
  await database?.close();
  await rm(dir, { recursive: true, force: true });
});

/** Why it does not start, and what it logged. */
async function startFailing(
  options: Partial<CoordinatorOptions>,
): Promise<{ reason: string; logs: Record<string, unknown>[] }> {
  const logs: Record<string, unknown>[] = [];
  const write = (line: string): void => {
    logs.push(JSON.parse(line) as Record<string, unknown>);
  };
  const config = {
    listen: { host: "127.0.0.1", port: 0 },
    databaseUrl: database.url,
    replicationDatabaseUrl: replicationUrl,
    natsUrls: ["nats://nosuchhost.invalid:4222"],
    goalKeyFile: path.join(dir, "key"),
    authentication: "none" as const,
    startTimeoutMs: 3_000,
    ...options,
  };
  const failed = await startCoordinator(config, { log: pino({}, { write }) }).catch(
    (error: unknown) => error as Error,
  );
  assert.instance(failed, Error);
  return { reason: (failed as Error).message, logs };
}

/** The same server and database, but for what is changed. */
function changed(url: string, change: (url: URL) => void): string {
  const result = new URL(url);
  change(result);
  return result.href;
}

test("a NATS server that has no address is not taken for Postgres", async () => {
  const { reason, logs } = await startFailing({});
  assert.match(
    reason,
    /^connecting to NATS failed: NATS at nats:\/\/nosuchhost\.invalid:4222 cannot/,
  );
  assert.equal([...new Set(logs.flatMap(({ away }) => away ?? []))], ["NATS"]);
});

test("Postgres at an address that is none is Postgres", async () => {
  const databaseUrl = "postgres://nosuchhost.invalid/slipway";
  const { logs } = await startFailing({ databaseUrl });
  assert.equal([...new Set(logs.flatMap(({ away }) => away ?? []))], ["Postgres"]);
});

test("a database or a user that is not there ends the start at once, and no password is told", async () => {
  const gone = changed(database.url, (url) => {
    url.pathname = "/nowhere";
  });
  const wrong = changed(replicationUrl, (url) => {
    url.password = "hush";
  });
  for (const [options, expected] of [
    [
      { databaseUrl: gone },
      /^--database-url: Postgres says .*nowhere.* \(3D000\): make the database/,
    ],
    [
      { replicationDatabaseUrl: wrong },
      /^--replication-database-url: Postgres says "password .*" \(28P01\): name the right user/,
    ],
  ] as const) {
    const { reason, logs } = await startFailing(options);
    assert.match(reason, expected);
    const said = reason + JSON.stringify(logs);
    assert.not.match(said, /hush|retrying/);
    assert.is(said.includes(new URL(database.url).password), false);
  }
});

for (const [code, expected] of [
  ["28P01", /^--x: Postgres says "no" \(28P01\): name the right user and password/],
  ["28000", /^--x: Postgres says "no" \(28000\): .*pg_hba\.conf/],
  ["ECONNREFUSED", /^no$/],
] as const) {
  test(`the error ${code} of a database`, async () => {
    const failure = Object.assign(new Error("no"), { code });
    const told = await withOption("--x", () => Promise.reject(failure)).catch(
      (error: unknown) => (error as Error).message,
    );
    assert.match(told, expected);
  });
}

for (const [one, other, isSame] of [
  ["postgres://a:b@db/x", "postgresql://c:d@DB:5432/x?sslmode=disable", true],
  ["postgres://localhost:5433/x", "postgres://127.0.0.1:5433/x", true],
  ["postgres://db/x", "postgres://db/y", false],
  ["postgres://db/x", "postgres://db:5433/x", false],
  ["postgres://db1/x", "postgres://db2/x", false],
] as const) {
  test(`${one} and ${other} are ${isSame ? "one database" : "two"}`, () => {
    assert.is(isSameDatabase(one, other), isSame);
  });
}

test.run();
