/** Signals a process group; false if it has no member any more. */
export function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-leader, signal);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ESRCH") return false;
    // macOS says EPERM of a group that holds nothing but zombies.
    if (code === "EPERM" && process.platform === "darwin") return false;
    throw error;
  }
}
