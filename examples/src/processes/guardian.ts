import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Socket } from "node:net";

/** A line to the guardian. */
export type GuardianOrder =
  | { order: "watch"; pid: number; signal: NodeJS.Signals }
  | { order: "forget"; pid: number }
  | { order: "directory"; path: string; keep: boolean }
  | { order: "forget-directory"; path: string };

/**
 * A small process that outlives this one, whatever ends it, by as long as it takes to end what it
 * was told of: processes (asked with their signal, killed with their process group soon after), and
 * then temporary directories, with every process that works below them.
 */
export interface Guardian {
  /** End the process, and its group if it leads one, when this process is gone. */
  watch(pid: number, signal: NodeJS.Signals): void;
  forget(pid: number): void;
  /**
   * End the processes that work in the directory, an absolute path without links, and remove it
   * unless it is to be kept, when this process is gone.
   */
  directory(path: string, options: { keep: boolean }): void;
  forgetDirectory(path: string): void;
}

let guardian: Guardian | undefined;

/** This process's guardian, started at the first call. */
export function guard(): Guardian {
  guardian ??= startGuardian();
  return guardian;
}

function startGuardian(): Guardian {
  const script = fileURLToPath(new URL("../../bin/guardian.js", import.meta.url));
  // In a session of its own, so that no terminal's Ctrl-C reaches it. The end of its standard input
  // is how it learns that we are gone.
  const child = spawn(process.execPath, [script], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const input = child.stdin as Socket;
  let broken: Error | undefined;
  const fail = (error: Error): void => {
    broken ??= error;
  };
  child.once("error", fail);
  child.once("exit", (code, signal) => fail(new Error(`the guardian ended: ${signal ?? code}`)));
  input.once("error", fail);
  child.unref();
  input.unref();
  const tell = (order: GuardianOrder): void => {
    if (broken === undefined) input.write(`${JSON.stringify(order)}\n`);
  };
  const rely = (order: GuardianOrder): void => {
    if (broken !== undefined) throw new Error("nothing guards the processes", { cause: broken });
    tell(order);
  };
  return {
    watch: (pid, signal) => rely({ order: "watch", pid, signal }),
    forget: (pid) => tell({ order: "forget", pid }),
    directory: (path, { keep }) => rely({ order: "directory", path, keep }),
    forgetDirectory: (path) => tell({ order: "forget-directory", path }),
  };
}
