import process from "node:process";
import { errorCode } from "../store/errors.js";

/** Signals a process group; false if it has no member any more. */
export function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  // kill(2) takes -1 for all processes.
  if (leader <= 1) return false;
  try {
    process.kill(-leader, signal);
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === "ESRCH") return false;
    // macOS says so of a group that holds nothing but zombies; else its members are another user's.
    if (code === "EPERM") return process.platform !== "darwin";
    throw error;
  }
}
