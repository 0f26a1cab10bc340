import { readFile, readdir, rm } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { command } from "./command.js";

const PREFIX = "slipway-rack-";

/** How everything that this process makes on the machine begins, namespaces and directories. */
export const OWN_PREFIX = `${PREFIX}${process.pid}-`;

/** Removes the namespaces of this process, with whatever still runs in them. */
export async function removeNamespaces(): Promise<void> {
  for (const name of await namespaces()) if (name.startsWith(OWN_PREFIX)) await removeOne(name);
}

/** Removes what processes that were killed could not. */
export async function removeLeftOvers(dir: string): Promise<void> {
  for (const name of await namespaces()) if (await isLeftOver(name)) await removeOne(name);
  for (const name of await readdir(dir)) {
    if (await isLeftOver(name)) await rm(path.join(dir, name), { recursive: true, force: true });
  }
}

async function isLeftOver(name: string): Promise<boolean> {
  const [, pid] = /^slipway-rack-(\d+)-/.exec(name) ?? [];
  if (pid === undefined) return false;
  // Empty for one that has ended and nobody has asked about yet.
  const commandLine = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
  return commandLine === "";
}

async function namespaces(): Promise<string[]> {
  const output = await command("ip", ["netns", "list"]);
  return output.split("\n").map((line) => line.split(" ")[0] ?? "");
}

async function removeOne(name: string): Promise<void> {
  const pids = await command("ip", ["netns", "pids", name]);
  for (const pid of pids.split("\n").filter((line) => line !== "")) kill(Number(pid));
  await command("ip", ["netns", "delete", name]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
