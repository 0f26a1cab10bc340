import { readFile } from "node:fs/promises";

/** Kernel ticks in a second: what Linux has said to programs on every platform for decades. */
const TICKS = 100;

/** Seconds of processor time, in the program and in the kernel, that a process has taken so far. */
export async function processorSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  // The second field is the name, in brackets, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}
