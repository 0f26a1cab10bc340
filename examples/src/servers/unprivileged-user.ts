import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** As spawn and chown take them. */
export interface User {
  uid: number;
  gid: number;
}

/**
 * Whom to run a server as that refuses to run as root: `postgres` if there is one, else `nobody`.
 * Undefined if this process is not root, which then runs it as itself.
 * @throws Error if there is neither.
 */
export async function unprivilegedUser(): Promise<User | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    const ids = await Promise.all([id("-u", name), id("-g", name)]);
    // As 32 bits with a sign, since macOS's nobody is -2.
    if (ids.every(Number.isInteger)) return { uid: ids[0] | 0, gid: ids[1] | 0 };
  }
  throw new Error("Postgres does not run as root, and there is no user postgres or nobody");
}

async function id(flag: string, name: string): Promise<number> {
  try {
    const { stdout } = await run("id", [flag, name], { timeout: 10_000 });
    return Number.parseInt(stdout, 10);
  } catch {
    return Number.NaN;
  }
}
