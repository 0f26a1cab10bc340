import { type FileHandle, open, stat } from "node:fs/promises";
import path from "node:path";
import { chunkFile } from "../store/chunker.js";
import { artifactDigest } from "../store/manifest.js";
import type { ArtifactSource, ReadableArtifact } from "./types.js";

/** A file was written to while its chunks were hashed. */
export class FileChangedError extends Error {
  override readonly name = "FileChangedError";
}

/** What is to be shared is a directory, a device or the like. */
export class NotAFileError extends Error {
  override readonly name = "NotAFileError";
}

/** What tells that a file is still the one that was hashed. */
interface Stamp {
  ino: number;
  size: number;
  mtimeMs: number;
}

interface Seeded {
  file: string;
  manifestBytes: Buffer;
  stamp: Stamp;
  /** How often it was added and not removed. */
  users: number;
}

/** Files that are shared where they are, in front of another source. */
export class SeededFiles implements ArtifactSource {
  readonly #others: ArtifactSource | undefined;
  readonly #files = new Map<string, Seeded>();

  constructor(others: ArtifactSource | undefined) {
    this.#others = others;
  }

  /** Throws as Swarm.seed. */
  async add(
    file: string,
    signal: AbortSignal | undefined,
  ): Promise<{ digest: string; sizeBytes: number }> {
    const absolute = path.resolve(file);
    const info = await stat(absolute);
    // Opening a pipe would wait for its other end, and a device may never end.
    if (!info.isFile()) throw new NotAFileError(`${absolute} is no plain file`);
    const stamp = stampOf(info);
    const manifestBytes = await chunkFile(absolute, signal === undefined ? {} : { signal });
    if (!same(stamp, stampOf(await stat(absolute)))) {
      throw new FileChangedError(`${absolute} was written to while it was read`);
    }
    const digest = artifactDigest(manifestBytes);
    const users = (this.#files.get(digest)?.users ?? 0) + 1;
    this.#files.set(digest, { file: absolute, manifestBytes, stamp, users });
    return { digest, sizeBytes: stamp.size };
  }

  /** True if it is shared no more. */
  remove(digest: string): boolean {
    const seeded = this.#files.get(digest);
    if (seeded === undefined || --seeded.users > 0) return false;
    return this.#files.delete(digest);
  }

  async open(digest: string): Promise<ReadableArtifact | undefined> {
    const seeded = this.#files.get(digest);
    const artifact = seeded === undefined ? undefined : await openSeeded(seeded);
    return artifact ?? this.#others?.open(digest);
  }
}

/** Undefined if the file is gone, or is another one by now. */
async function openSeeded(seeded: Seeded): Promise<ReadableArtifact | undefined> {
  const { manifestBytes, stamp } = seeded;
  let handle: FileHandle;
  try {
    handle = await open(seeded.file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  if (!same(stamp, stampOf(await handle.stat()))) {
    await handle.close();
    return undefined;
  }
  let closing: Promise<void> | undefined;
  return {
    manifestBytes,
    sizeBytes: stamp.size,
    read: async (offset, length, into) => {
      for (let filled = 0; filled < length;) {
        const { bytesRead } = await handle.read(into, filled, length - filled, offset + filled);
        if (bytesRead === 0) throw new FileChangedError(`${seeded.file} has become shorter`);
        filled += bytesRead;
      }
    },
    close: () => (closing ??= handle.close()),
  };
}

function stampOf({ ino, size, mtimeMs }: Stamp): Stamp {
  return { ino, size, mtimeMs };
}

function same(a: Stamp, b: Stamp): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs;
}
