import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A file system in memory, of so many bytes. */
export interface SmallDisk {
  dir: string;
  resize(bytes: number): Promise<void>;
  unmount(): Promise<void>;
}

/** Undefined where nobody but an administrator may mount. */
export async function mountSmallDisk(at: string, bytes: number): Promise<SmallDisk | undefined> {
  const dir = path.join(at, "disk");
  await mkdir(dir);
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", dir]);
  } catch {
    return undefined;
  }
  return {
    dir,
    resize: async (size) => {
      await run("mount", ["-o", `remount,size=${size}`, dir]);
    },
    unmount: async () => {
      await run("umount", ["-l", dir]);
    },
  };
}

/** Takes all the room that is left. */
export async function fillUp(disk: SmallDisk): Promise<string> {
  const file = path.join(disk.dir, "filler");
  await writeFile(file, "");
  for (const bytes of [64 * 1024, 1024, 1]) {
    for (let full = false; !full;) {
      full = await writeFile(file, Buffer.alloc(bytes), { flag: "a" }).then(
        () => false,
        () => true,
      );
    }
  }
  return file;
}
