import { createReadStream } from "node:fs";
import path from "node:path";
import { extract, type ReadEntry } from "tar";

/** What a tar may come to when unpacked. */
export interface UnpackBounds {
  bytes: number;
  entries: number;
}

const DEFAULT_UNPACK_BOUNDS: UnpackBounds = { bytes: 64 * 1024 ** 3, entries: 1_000_000 };

export class UnpackError extends Error {
  override readonly name = "UnpackError";
}

/** How long a failed archive's last writes are waited for. */
const DRAIN_MS = 2_000;
const KINDS = new Set(["File", "OldFile", "ContiguousFile", "Directory", "SymbolicLink", "Link"]);

/**
 * Unpacks a tar, gzipped or not, into an empty folder. Nothing is written outside of it, links
 * included, and there are no devices, no setuid bits and no owners but the agent's.
 * @throws UnpackError for an archive that is damaged, too large or tries to get out; system errors
 * such as ENOSPC as they are; the signal's reason.
 */
export async function unpack(
  file: string,
  folder: string,
  options: { signal: AbortSignal; bounds?: UnpackBounds },
): Promise<void> {
  const { signal, bounds = DEFAULT_UNPACK_BOUNDS } = options;
  const total = { bytes: 0, entries: 0 };
  await new Promise<void>((resolve, reject) => {
    const input = createReadStream(file, { highWaterMark: 1024 * 1024 });
    let failed = false;
    const fail = (error: Error): void => {
      if (failed) return;
      failed = true;
      signal.removeEventListener("abort", abort);
      input.unpipe(output);
      input.destroy();
      // Files that are being written must be done with before the caller cleans up.
      const giveUp = setTimeout(() => reject(error), DRAIN_MS);
      output.once("close", () => {
        clearTimeout(giveUp);
        reject(error);
      });
      output.end();
    };
    const abort = (): void => fail(signal.reason as Error);
    const output = extract({
      cwd: folder,
      strict: true,
      preserveOwner: false,
      filter: (name, entry) => {
        const refusal = refuse(name, entry as ReadEntry, total, bounds);
        if (refusal !== undefined) fail(new UnpackError(refusal));
        return !failed;
      },
    });
    signal.addEventListener("abort", abort, { once: true });
    input.on("error", fail);
    output.on("error", (error) => fail(unpackError(error)));
    output.on("close", () => {
      if (failed) return;
      signal.removeEventListener("abort", abort);
      resolve();
    });
    if (signal.aborted) abort();
    else input.pipe(output);
  });
  if (total.entries === 0) throw new UnpackError("the tar has no entries");
}

function refuse(
  name: string,
  entry: ReadEntry,
  total: { bytes: number; entries: number },
  bounds: UnpackBounds,
): string | undefined {
  total.entries += 1;
  total.bytes += entry.size;
  if (total.entries > bounds.entries) return `the tar has more than ${bounds.entries} entries`;
  if (total.bytes > bounds.bytes) return `the tar unpacks to more than ${bounds.bytes} bytes`;
  if (!KINDS.has(entry.type)) return `${quote(name)} is a ${entry.type}`;
  if (!staysInside(name)) return `${quote(name)} is outside of the release folder`;
  if (
    entry.type === "SymbolicLink" &&
    !staysInside(entry.linkpath ?? "", path.posix.dirname(name))
  ) {
    return `the link ${quote(name)} leads outside of the release folder`;
  }
  if (entry.type === "Link" && !staysInside(entry.linkpath ?? "")) {
    return `the link ${quote(name)} leads outside of the release folder`;
  }
  // The agent must be able to sync and to remove what it unpacks.
  const needed = entry.type === "Directory" ? 0o700 : 0o600;
  if (entry.mode !== undefined) entry.mode = (entry.mode & 0o777) | needed;
  return undefined;
}

/**
 * Whether a path of the archive, seen from a folder of it, ends inside the archive's root. It may go
 * up only at its beginning: what it names on the way may be a link, above which is another folder.
 */
function staysInside(name: string, from = "."): boolean {
  if (name === "" || name.includes("\0") || path.posix.isAbsolute(name)) return false;
  if (/(^|\/)(?!\.\.?(\/|$))[^/]+\/(.*\/)?\.\.(\/|$)/.test(name)) return false;
  const normal = path.posix.join(from, name);
  return normal !== ".." && !normal.startsWith("../");
}

function unpackError(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  // tar's own codes begin so; the rest are the system's.
  return code !== undefined && /^E[A-Z]+$/.test(code)
    ? (error as Error)
    : new UnpackError(`the tar cannot be unpacked: ${message}`, { cause: error });
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}
