import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { Bitfield, bitfieldBytes } from "./bitfield.js";
import { storeError } from "./errors.js";
import { holdsChunk, readFully, readIfThere, syncDirectory, writeFully } from "./files.js";
import type { Manifest } from "./manifest.js";
import type { ArtifactWrite } from "./types.js";

/** After this many bytes, or milliseconds, chunks are made durable and their bits set on disk. */
const SYNC_BYTES = 256 * 1024 * 1024;
const SYNC_MS = 5_000;

export const FILES = {
  manifest: "manifest",
  data: "data",
  partial: "data.partial",
  /** The bits of chunks that are durable. */
  have: "have",
  /** Numbers (u32, big-endian) of chunks written since: after a crash they are hashed again. */
  recent: "recent",
} as const;

interface OpenOptions {
  /** What is claimed to be here need not be read again. */
  trusted: boolean;
  /** `intact`: nothing failed that makes the claims doubtful. */
  onClose: (intact: boolean) => void;
}

/**
 * An artifact that is written in place. A bit of `have` on disk is set only when the chunk's bytes
 * are durable, so that it never claims what a power cut took; `recent` saves a killed process, whose
 * bytes the kernel still has, from fetching the last seconds again.
 */
export class DirectoryArtifactWrite implements ArtifactWrite {
  readonly manifest: Manifest;
  readonly have: Bitfield;
  #bytesDone = 0;
  readonly #directory: string;
  readonly #files: { data: FileHandle; have: FileHandle; recent: FileHandle };
  readonly #onClose: (intact: boolean) => void;
  #unsyncedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #syncing: Promise<void> | undefined;
  #failure: unknown;
  #writing = new Set<Promise<void>>();
  #recentEnd = 0;
  #closed: Promise<void> | undefined;

  private constructor(
    directory: string,
    manifest: Manifest,
    have: Bitfield,
    files: { data: FileHandle; have: FileHandle; recent: FileHandle },
    onClose: (intact: boolean) => void,
  ) {
    this.#directory = directory;
    this.manifest = manifest;
    this.have = have;
    this.#files = files;
    this.#onClose = onClose;
    for (let index = 0; index < manifest.chunkCount; index++) {
      if (have.has(index)) this.#bytesDone += manifest.sizeOf(index);
    }
  }

  /** The directory has the manifest; whatever else it has of the artifact is taken up. */
  static async open(
    directory: string,
    manifest: Manifest,
    { trusted, onClose }: OpenOptions,
  ): Promise<DirectoryArtifactWrite> {
    const opened: FileHandle[] = [];
    const file = async (name: string): Promise<FileHandle> => {
      const handle = await open(path.join(directory, name), constants.O_RDWR | constants.O_CREAT);
      opened.push(handle);
      return handle;
    };
    try {
      const data = await file(FILES.partial);
      const claimed = await readHave(directory, manifest);
      const recent = await readRecent(directory, manifest);
      const have = await recheck(data, manifest, claimed, { recent, trusted });
      const files = { data, have: await file(FILES.have), recent: await file(FILES.recent) };
      const write = new DirectoryArtifactWrite(directory, manifest, have, files, onClose);
      await write.#sync();
      await files.have.sync();
      await syncDirectory(directory);
      return write;
    } catch (error) {
      await Promise.all(opened.map((handle) => handle.close()));
      throw storeError(error);
    }
  }

  get digest(): string {
    return this.manifest.digest;
  }

  get bytesDone(): number {
    return this.#bytesDone;
  }

  async write(index: number, bytes: Uint8Array): Promise<void> {
    this.#check();
    if (bytes.byteLength !== this.manifest.sizeOf(index)) {
      throw new RangeError(`chunk ${index} has ${this.manifest.sizeOf(index)} bytes`);
    }
    if (this.have.has(index)) return;
    const writing = this.#write(index, bytes);
    this.#writing.add(writing);
    try {
      await writing;
    } catch (error) {
      throw storeError(error);
    } finally {
      this.#writing.delete(writing);
    }
  }

  async readChunk(index: number, into: Buffer): Promise<void> {
    this.#check();
    if (!this.have.has(index)) throw new Error(`chunk ${index} is not here`);
    await readFully(
      this.#files.data,
      this.manifest.offset(index),
      this.manifest.sizeOf(index),
      into,
    );
  }

  async complete(): Promise<void> {
    this.#check();
    if (!this.have.full) throw new Error("the artifact is not complete");
    await Promise.allSettled(this.#writing);
    try {
      await this.#sync();
      await this.#files.data.chmod(0o444);
      await this.#files.data.sync();
      await rename(this.#path(FILES.partial), this.#path(FILES.data));
      await syncDirectory(this.#directory);
      await rm(this.#path(FILES.have), { force: true });
      await rm(this.#path(FILES.recent), { force: true });
    } catch (error) {
      throw storeError(error);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await Promise.allSettled(this.#writing);
      if (this.#failure === undefined) await this.#sync();
    } catch (error) {
      this.#failure ??= error;
      throw error;
    } finally {
      await Promise.all(Object.values(this.#files).map((file) => file.close()));
      this.#onClose(this.#failure === undefined);
    }
  }

  async #write(index: number, bytes: Uint8Array): Promise<void> {
    await writeFully(this.#files.data, this.manifest.offset(index), bytes);
    if (!this.have.set(index)) return;
    this.#bytesDone += bytes.byteLength;
    this.#unsyncedBytes += bytes.byteLength;
    this.#timer ??= setTimeout(() => this.#syncInBackground(), SYNC_MS).unref();
    const entry = Buffer.alloc(4);
    entry.writeUInt32BE(index);
    const end = this.#recentEnd;
    this.#recentEnd += entry.length;
    await writeFully(this.#files.recent, end, entry);
    if (this.#unsyncedBytes >= SYNC_BYTES) this.#syncInBackground();
  }

  #syncInBackground(): void {
    this.#sync().catch((error: unknown) => {
      this.#failure ??= error;
    });
  }

  /** Makes durable what was written before the call. */
  async #sync(): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing;
    this.#syncing = this.#syncOnce();
    try {
      await this.#syncing;
    } finally {
      this.#syncing = undefined;
    }
  }

  async #syncOnce(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#unsyncedBytes = 0;
    const bits = Buffer.from(this.have.bytes);
    const recentEnd = this.#recentEnd;
    await this.#files.data.datasync();
    await writeFully(this.#files.have, 0, bits);
    await this.#files.have.datasync();
    // Entries that came meanwhile are still needed; the next time takes them too.
    if (this.#recentEnd === recentEnd) {
      this.#recentEnd = 0;
      await this.#files.recent.truncate(0);
    }
  }

  /** After a failed sync the kernel may have dropped pages: only a new start knows what is there. */
  #check(): void {
    if (this.#failure !== undefined) throw storeError(this.#failure);
    if (this.#closed !== undefined) throw new Error("the artifact's write is closed");
  }

  #path(name: string): string {
    return path.join(this.#directory, name);
  }
}

async function readHave(directory: string, manifest: Manifest): Promise<Bitfield> {
  const bytes = await readIfThere(path.join(directory, FILES.have));
  if (bytes?.length !== bitfieldBytes(manifest.chunkCount))
    return new Bitfield(manifest.chunkCount);
  try {
    return new Bitfield(manifest.chunkCount, bytes);
  } catch (error) {
    if (error instanceof RangeError) return new Bitfield(manifest.chunkCount);
    throw error;
  }
}

async function readRecent(directory: string, manifest: Manifest): Promise<number[]> {
  const bytes = (await readIfThere(path.join(directory, FILES.recent))) ?? Buffer.alloc(0);
  const recent = new Set<number>();
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const index = bytes.readUInt32BE(at);
    if (index < manifest.chunkCount) recent.add(index);
  }
  return [...recent];
}

/** The chunks that are here: those whose bytes are right, and with trust all that are claimed. */
async function recheck(
  data: FileHandle,
  manifest: Manifest,
  claimed: Bitfield,
  { recent, trusted }: { recent: readonly number[]; trusted: boolean },
): Promise<Bitfield> {
  const { size } = await data.stat();
  const end = (index: number): number => manifest.offset(index) + manifest.sizeOf(index);
  const indexes = setBits(claimed);
  // A file that somebody cut: nothing that is said of it can be trusted.
  const believed = trusted && indexes.every((index) => end(index) <= size);
  const have = believed ? claimed : new Bitfield(claimed.size);
  const buffer = Buffer.allocUnsafe(manifest.largestChunkBytes);
  for (const index of believed ? recent : [...indexes, ...recent]) {
    if (have.has(index) || end(index) > size) continue;
    if (await holdsChunk(data, manifest, index, buffer)) have.set(index);
  }
  return have;
}

function setBits(bits: Bitfield): number[] {
  return Array.from({ length: bits.size }, (_, index) => index).filter((index) => bits.has(index));
}
