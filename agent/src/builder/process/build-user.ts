import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const TIMEOUT_MS = 10_000;
const USUAL = ["slipway-build", "nobody"];

/** Whom build commands run as. */
export interface BuildUser {
  name: string;
  uid: number;
  gid: number;
}

/**
 * The user of this name, or else the first that there is of the usual ones.
 * @throws Error that says what to do if there is none, or it is root.
 */
export async function findBuildUser(name: string | undefined): Promise<BuildUser> {
  for (const candidate of name === undefined ? USUAL : [name]) {
    const [uid, gid] = await Promise.all([id("-u", candidate), id("-g", candidate)]);
    if (uid === undefined || gid === undefined) continue;
    if (uid === 0) throw new Error(`builds cannot run as ${candidate}, who is root`);
    return { name: candidate, uid, gid };
  }
  throw new Error(
    `there is no user ${name ?? USUAL.join(" or ")} to run builds as: make one ` +
      `(useradd --system slipway-build), name another with --build-user, or say --build-as-root`,
  );
}

/**
 * Sees that the user can get to a directory.
 * @throws Error that names the directory and the user.
 */
export async function checkReach(directory: string, user: BuildUser): Promise<void> {
  const { uid, gid, name } = user;
  try {
    const script = 'cd "$1"';
    await run("/bin/sh", ["-c", script, "sh", directory], {
      uid,
      gid,
      cwd: "/",
      timeout: TIMEOUT_MS,
    });
  } catch (cause) {
    throw new Error(
      `the builds' user ${name} cannot get to ${directory}: let others pass through the folders ` +
        "above it (chmod o+x), or put the builder's data directory elsewhere",
      { cause },
    );
  }
}

/** Gives a tree to the user, before anything of that user's runs; links are not followed. */
export async function giveTree(directory: string, { uid, gid }: BuildUser): Promise<void> {
  await run("chown", ["-R", "-h", "-P", `${uid}:${gid}`, directory]);
}

async function id(flag: string, name: string): Promise<number | undefined> {
  try {
    const { stdout } = await run("id", [flag, "--", name], { timeout: TIMEOUT_MS });
    // As 32 bits with a sign, since macOS's nobody is -2.
    return Number.parseInt(stdout, 10) | 0;
  } catch {
    return undefined;
  }
}
