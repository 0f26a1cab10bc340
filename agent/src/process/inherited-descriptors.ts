import { closeSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";

const DESCRIPTORS = "/proc/self/fdinfo";
const O_CLOEXEC = 0o2000000;
const STANDARD = 3;

/**
 * Closes what whoever started this process left open in it, so that it is not handed on to what this
 * process starts. To be called first of all: Node's own descriptors end with an exec, and those that
 * are opened later do too. Where there is no /proc nothing can be told apart, and nothing is done.
 * @returns how many were closed.
 */
export function closeInheritedDescriptors(): number {
  if (process.platform !== "linux") return 0;
  let closed = 0;
  for (const name of readdirSync(DESCRIPTORS)) {
    const descriptor = Number(name);
    if (descriptor < STANDARD || !outlivesExec(descriptor)) continue;
    closeSync(descriptor);
    closed += 1;
  }
  return closed;
}

function outlivesExec(descriptor: number): boolean {
  let info: string;
  try {
    info = readFileSync(`${DESCRIPTORS}/${descriptor}`, "latin1");
  } catch {
    return false; // The one by which the folder was read.
  }
  const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? "", 8);
  return (flags & O_CLOEXEC) === 0;
}
