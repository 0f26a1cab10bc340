import { execFile } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import process from "node:process";
import { promisify } from "node:util";

const run = promisify(execFile);
const PS = {
  timeout: 5000,
  env: { PATH: "/bin:/usr/bin", LC_ALL: "C" },
  maxBuffer: 16 * 1024 * 1024,
};

/**
 * True if some process of a group was started with `NAME=VALUE` in its environment. Tells a group
 * whose leader has ended from one of the same number that is somebody else's.
 */
export async function groupHasVariable(group: number, variable: string): Promise<boolean> {
  for (const pid of await membersOf(group)) {
    if ((await environmentOf(pid)).includes(variable)) return true;
  }
  return false;
}

async function membersOf(group: number): Promise<number[]> {
  if (process.platform !== "linux") {
    const { stdout } = await run("ps", ["-A", "-o", "pid=,pgid="], PS);
    const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
    return rows.flatMap(([pid, pgid]) => (pid !== undefined && pgid === group ? [pid] : []));
  }
  const members: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "latin1").catch(gone);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(fields[2]) === group && fields[0] !== "Z") members.push(Number(name));
  }
  return members;
}

async function environmentOf(pid: number): Promise<string[]> {
  if (process.platform === "linux") {
    return (await readFile(`/proc/${pid}/environ`, "utf8").catch(gone)).split("\0");
  }
  const { stdout } = await run("ps", ["-E", "-ww", "-o", "command=", "-p", String(pid)], PS).catch(
    () => ({ stdout: "" }),
  );
  return stdout.split(/\s+/);
}

/** A process that ended meanwhile, or that is another user's, says nothing. */
function gone(): string {
  return "";
}
