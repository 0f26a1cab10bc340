import type { Knex } from "knex";
import { pino } from "pino";
import { startPostgres, type PostgresServer } from "@slipway/examples/servers";
import { ApplicationSpec } from "@slipway/proto";
import { checkSpec } from "../src/application/spec.js";
import { applyApplication } from "../src/application/store.js";
import { openDatabase } from "../src/db/connection.js";
import { migrate } from "../src/db/migrate.js";
import { migrations } from "../src/db/migrations/index.js";
import { Violations } from "../src/validate.js";

export const silent = pino({ level: "silent" });

/** A Postgres of its own with a migrated database. */
export interface TestDatabase {
  server: PostgresServer;
  url: string;
  db: Knex;
  close(): Promise<void>;
}

export async function openTestDatabase(): Promise<TestDatabase> {
  const server = await startPostgres();
  const url = await server.createDatabase("main");
  const db = openPool(url);
  await migrate(url, migrations, { timeoutMs: 10_000, log: silent });
  const close = async (): Promise<void> => {
    await db.destroy();
    await server.stop();
  };
  return { server, url, db, close };
}

export function openPool(url: string, { byIndex = false } = {}): Knex {
  const timeouts = { statementTimeoutMs: 10_000, applicationName: "test" };
  return openDatabase({ url, poolSize: 10, ...timeouts, byIndex });
}

/** A spec in which nothing is wrong. */
export function goodSpec(change: Parameters<typeof ApplicationSpec.fromPartial>[0] = {}) {
  return ApplicationSpec.fromPartial({
    source: { repository: "https://example.com/shop.git" },
    build: { command: ["make"], artifactPath: "out/shop" },
    run: { command: ["./shop"] },
    regions: ["eu", "us"],
    ...change,
  });
}

/** Applies a good spec with so many attempts. */
export async function addApplication(db: Knex, name: string, maxAttempts = 3): Promise<void> {
  const found = new Violations();
  const spec = checkSpec(
    goodSpec({ build: { command: ["make"], artifactPath: "out/shop", maxAttempts } }),
    found,
  );
  found.throwIfAny();
  await applyApplication(db, name, spec, 0);
}

/** A commit SHA that differs with the number. */
export function sha(number: number): string {
  return number.toString(16).padStart(40, "0");
}

/** Waits until the condition holds, looking often. @throws Error after the deadline. */
export async function eventually<T>(
  condition: () => T | undefined | Promise<T | undefined>,
  timeoutMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  while (true) {
    const result = await condition();
    if (result !== undefined && result !== false) return result;
    if (Date.now() > deadline) throw new Error(`not so within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
