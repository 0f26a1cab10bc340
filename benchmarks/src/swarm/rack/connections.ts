import { readFile } from "node:fs/promises";

const ESTABLISHED = "01";

/** TCP connections in the network namespace of a process, but for those to one port. */
export async function connectionsOf(pid: number, butPort: number): Promise<number> {
  const table = await readFile(`/proc/${pid}/net/tcp`, "latin1");
  const but = butPort.toString(16).toUpperCase().padStart(4, "0");
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote = "", state]) => state === ESTABLISHED && !remote.endsWith(`:${but}`))
    .length;
}
