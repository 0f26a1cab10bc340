import fs from "node:fs";
import fsPromises, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";

/** What was done to files, in the order in which it was begun or, of syncs, ended. */
export type DiskOperation =
  | { kind: "write"; file: string; position: number; bytes: Buffer }
  | { kind: "sync"; file: string; before: number }
  | { kind: "rename"; from: string; to: string };

/**
 * Records what is written, synced and renamed under a directory, through every way that the store
 * has of doing so on this thread. A sync makes durable what was written before operation `before`.
 */
export function recordDisk(): { operations: DiskOperation[]; stop: () => void } {
  const operations: DiskOperation[] = [];
  const names = new Map<number, string>();
  const { writeSync } = fs;
  const { open, rename } = fsPromises;

  const write = (file: string | undefined, bytes: Uint8Array, position: number | null): void => {
    if (file === undefined) return;
    operations.push({ kind: "write", file, bytes: Buffer.from(bytes), position: position ?? -1 });
  };
  const recordingSync = async (file: string, sync: () => Promise<void>): Promise<void> => {
    const before = operations.length;
    await sync();
    operations.push({ kind: "sync", file, before });
  };

  const recording = (handle: FileHandle, name: string): FileHandle => {
    names.set(handle.fd, name);
    return new Proxy(handle, {
      get(target, property) {
        if (property === "datasync" || property === "sync") {
          return () => recordingSync(name, () => target[property]());
        }
        if (property === "write") {
          return (bytes: Uint8Array, offset: number, length: number, position: number) => {
            write(name, bytes.subarray(offset, offset + length), position);
            return target.write(bytes, offset, length, position);
          };
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  };

  const patched = {
    writeSync: (
      fd: number,
      bytes: Uint8Array,
      offset: number,
      length: number,
      at: number | null,
    ) => {
      write(names.get(fd), bytes.subarray(offset, offset + length), at);
      return writeSync(fd, bytes, offset, length, at);
    },
    open: async (...args: Parameters<typeof open>) =>
      recording(await open(...args), path.basename(String(args[0]))),
    rename: async (from: string, to: string) => {
      operations.push({ kind: "rename", from: path.basename(from), to: path.basename(to) });
      await rename(from, to);
    },
  };
  Object.assign(fs, { writeSync: patched.writeSync });
  Object.assign(fsPromises, { open: patched.open, rename: patched.rename });
  syncBuiltinESMExports();
  return {
    operations,
    stop: () => {
      Object.assign(fs, { writeSync });
      Object.assign(fsPromises, { open, rename });
      syncBuiltinESMExports();
    },
  };
}
