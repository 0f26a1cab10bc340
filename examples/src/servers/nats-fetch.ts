import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const FETCH_TIMEOUT_MS = 180_000;

/**
 * Gets nats-server with the system's package manager, without installing anything and without root:
 * the package is downloaded and unpacked, and the program put into `folder` as `nats-server`.
 * @throws Error that says what went wrong.
 */
export async function fetchNatsServer(folder: string): Promise<void> {
  const work = path.join(folder, "work");
  await mkdir(work);
  const unpacked = process.platform === "darwin" ? await brewFetch(work) : await aptFetch(work);
  const program = await findProgram(unpacked);
  if (program === undefined) throw new Error("the package has no program named nats-server");
  await copyFile(program, path.join(folder, "nats-server"));
  await chmod(path.join(folder, "nats-server"), 0o755);
}

/** Debian, Ubuntu: apt with state folders of our own, since its lists may be empty or not ours. */
async function aptFetch(work: string): Promise<string> {
  await mkdir(path.join(work, "lists", "partial"), { recursive: true });
  await mkdir(path.join(work, "cache", "archives", "partial"), { recursive: true });
  const options = [
    ["Dir::State", work],
    ["Dir::State::status", "/var/lib/dpkg/status"],
    ["Dir::State::lists", path.join(work, "lists")],
    ["Dir::Cache", path.join(work, "cache")],
    // Otherwise apt, run by root, downloads as a user who cannot write here.
    ["APT::Sandbox::User", "root"],
  ].flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const aptGet = (...args: string[]): Promise<unknown> =>
    run("apt-get", [...options, ...args], { cwd: work, timeout: FETCH_TIMEOUT_MS });
  // Some of the machine's package sources may be broken without it mattering here. Without the
  // option, apt calls a network that is away a success.
  const updateFailure = await aptGet("-o", "APT::Update::Error-Mode=any", "update").then(
    () => undefined,
    (error: Error) => error,
  );
  try {
    await aptGet("download", "nats-server");
  } catch (cause) {
    const failures = updateFailure === undefined ? [cause] : [cause, updateFailure];
    throw new Error([...new Set(failures.map(reasonOf))].join("; "), { cause });
  }
  const archive = (await readdir(work)).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("apt-get downloaded nothing");
  const unpacked = path.join(work, "unpacked");
  await run("dpkg-deb", ["-x", path.join(work, archive), unpacked], { timeout: 30_000 });
  return unpacked;
}

/** macOS: Homebrew's own archive of the program, which has no dependencies. */
async function brewFetch(work: string): Promise<string> {
  const brew = async (...args: string[]): Promise<string> =>
    (await run("brew", args, { cwd: work, timeout: FETCH_TIMEOUT_MS })).stdout;
  await brew("fetch", "nats-server");
  const archive = (await brew("--cache", "nats-server")).trim();
  await run("tar", ["-xzf", archive, "-C", work], { timeout: 30_000 });
  return work;
}

/** Why a program could not be run or failed, in one line: its first error if it tells. */
export function reasonOf(error: unknown): string {
  const { message, stderr = "", killed } = error as Error & { stderr?: string; killed?: boolean };
  if (killed === true) return `no end within ${FETCH_TIMEOUT_MS / 1000} s`;
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const said = lines.find((line) => /^E: |error/i.test(line)) ?? lines.at(-1);
  return said?.replace(/^E: /, "").replaceAll(/\s+/g, " ") ?? message.split("\n")[0] ?? message;
}

async function findProgram(folder: string): Promise<string | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries.find((entry) => entry.isFile() && entry.name === "nats-server");
  return found && path.join(found.parentPath ?? found.path, found.name);
}
