import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { cached } from "./cache-folder.js";
import { fetchNatsServer, reasonOf } from "./nats-fetch.js";

const run = promisify(execFile);
const MINIMUM = [2, 9] as const;
const HELP =
  "put nats-server 2.9 or newer on the PATH: `apt-get install nats-server`, " +
  "`brew install nats-server`, or https://github.com/nats-io/nats-server/releases";

let found: Promise<string> | undefined;

/**
 * The nats-server program: from the PATH, else fetched once into a cache folder.
 * @throws Error with one line that says how to get it.
 */
export function natsBinary(): Promise<string> {
  found ??= findNatsServer().catch((error: unknown) => {
    found = undefined;
    throw error;
  });
  return found;
}

async function findNatsServer(): Promise<string> {
  const refusals: string[] = [];
  for (const program of ["nats-server", "/usr/sbin/nats-server"]) {
    try {
      await checkVersion(program);
      return program;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") refusals.push(reasonOf(error));
    }
  }
  try {
    const folder = await cached(`nats-server-${process.arch}`, fetchInto, (target) =>
      checkVersion(path.join(target, "nats-server")),
    );
    return path.join(folder, "nats-server");
  } catch (cause) {
    const reasons = [...refusals, reasonOf(cause)].join("; ");
    throw new Error(`no nats-server (${reasons}): ${HELP}`, { cause });
  }
}

async function fetchInto(folder: string): Promise<void> {
  await fetchNatsServer(folder);
  await rm(path.join(folder, "work"), { recursive: true });
}

async function checkVersion(program: string): Promise<void> {
  const { stdout } = await run(program, ["--version"], { timeout: 10_000 });
  if (!isSupportedVersion(stdout)) throw new Error(`${program} is too old: ${stdout.trim()}`);
}

/** Whether what `nats-server --version` says is at least 2.9. */
export function isSupportedVersion(said: string): boolean {
  const match = /v?(\d+)\.(\d+)\.\d+/.exec(said);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1]);
}
