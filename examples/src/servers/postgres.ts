import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, chmod, chown, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { Client, escapeIdentifier } from "pg";
import { type Child, startChild } from "../processes/child.js";
import { type TemporaryDirectory, temporaryDirectory } from "../processes/temporary-directory.js";
import { freePort } from "./free-port.js";
import { type PostgresBinaries, postgresBinaries } from "./postgres-binaries.js";
import { unprivilegedUser, type User } from "./unprivileged-user.js";

const run = promisify(execFile);
const START_TIMEOUT_MS = 30_000;
const INIT_TIMEOUT_MS = 60_000;

export interface PostgresOptions {
  /**
   * Where its data and log are kept: made if missing, used again if it holds a database, not
   * removed at stop. Default: a temporary directory that is.
   */
  dir?: string;
  /** On 127.0.0.1. Default: a free one. */
  port?: number;
}

export interface PostgresServer {
  /** Connection string for a database of that name. */
  url(database: string): string;
  /** Makes an empty database. */
  createDatabase(name: string): Promise<string>;
  port: number;
  pid: number;
  dir: string;
  logFile: string;
  /** Ends connections and stops, synced; may be called twice. */
  stop(): Promise<void>;
}

/**
 * Starts a real Postgres of its own, durable, on 127.0.0.1 only, with a random password. It ends
 * with this process, whatever ends that.
 * @throws Error with the reason, or the end of its log, if it does not start.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const user = await unprivilegedUser();
  const binaries = await postgresBinaries(user);
  const temporary = options.dir === undefined ? await temporaryDirectory("slipway-pg-") : undefined;
  const dir = path.resolve(options.dir ?? (temporary?.path as string));
  const data = path.join(dir, "data");
  const logFile = path.join(dir, "postgres.log");
  let child: Child | undefined;
  try {
    await mkdir(dir, { recursive: true });
    // Postgres's user passes through, and sees nothing.
    if (user !== undefined) await chmod(dir, 0o711);
    const password = await initialise(binaries, dir, data, user);
    const port = options.port ?? (await freePort());
    child = await startChild({
      name: "postgres",
      command: binaries.postgres,
      args: ["-D", data, "-h", "127.0.0.1", "-p", String(port), "-k", ""],
      cwd: data,
      env: environment(),
      logFile,
      user,
      stopSignal: "SIGINT",
    });
    await child.logged(/database system is ready to accept connections/, START_TIMEOUT_MS);
    return serverOf({ child, dir, logFile, password, port, temporary });
  } catch (error) {
    await child?.stop();
    await temporary?.remove();
    throw error;
  }
}

interface Parts {
  child: Child;
  dir: string;
  logFile: string;
  password: string;
  port: number;
  temporary: TemporaryDirectory | undefined;
}

function serverOf({ child, dir, logFile, password, port, temporary }: Parts): PostgresServer {
  const url = (database: string): string =>
    `postgres://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  let stopped: Promise<void> | undefined;
  return {
    url,
    async createDatabase(name) {
      const client = new Client({ connectionString: url("postgres") });
      await client.connect();
      try {
        await client.query(`create database ${escapeIdentifier(name)}`);
      } finally {
        await client.end();
      }
      return url(name);
    },
    port,
    pid: child.pid,
    dir,
    logFile,
    stop() {
      stopped ??= child.stop().then(() => temporary?.remove());
      return stopped;
    },
  };
}

/** Makes the database cluster unless there is one. Returns its password. */
async function initialise(
  binaries: PostgresBinaries,
  dir: string,
  data: string,
  user: User | undefined,
): Promise<string> {
  const passwordFile = path.join(dir, "password");
  if (await exists(path.join(data, "PG_VERSION"))) return readFile(passwordFile, "utf8");
  const password = randomBytes(16).toString("hex");
  await writeFile(passwordFile, password, { mode: 0o600 });
  await mkdir(data, { recursive: true, mode: 0o700 });
  if (user !== undefined) {
    await chown(passwordFile, user.uid, user.gid);
    await chown(data, user.uid, user.gid);
  }
  // Not synced: if the machine dies now there is nothing to lose yet. What is written later is.
  const args = ["-D", data, "--username=postgres", `--pwfile=${passwordFile}`];
  args.push("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync");
  try {
    const env = environment();
    await run(binaries.initdb, args, { ...user, cwd: "/", env, timeout: INIT_TIMEOUT_MS });
  } catch (cause) {
    await rm(data, { recursive: true, force: true });
    const { stdout = "", stderr = "" } = cause as { stdout?: string; stderr?: string };
    const said = `${stdout}${stderr}`.trim().split("\n").slice(-12).join("\n");
    const hint = user === undefined ? "" : ` Root's Postgres runs as user ${user.uid}.`;
    throw new Error(`initdb failed in ${data}.${hint}\n${said}`, { cause });
  }
  return password;
}

/** Without PG* and locale variables of the caller's. */
function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" };
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
