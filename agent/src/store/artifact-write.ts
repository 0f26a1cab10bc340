import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { FILES } from "./artifact-files.js";
import type { Bitfield } from "./bitfield.js";
import type { ChunkJob } from "./chunk-job.js";
import type { ChunkWriter } from "./chunk-writer.js";
import { fileError, storeError } from "./errors.js";
import { readFully, syncDirectory, writeFully } from "./files.js";
import { type CopySource, type CopyTarget, findCopies } from "./local-copies.js";
import type { Manifest } from "./manifest.js";
import { RECENT_ENTRY_BYTES, readHere } from "./resume.js";
import type { ArtifactWrite, LocalCopies } from "./types.js";

/** After so many milliseconds at the latest, chunks are made durable and their bits set on disk. */
const SYNC_MS = 5_000;

interface OpenOptions {
  /** What is claimed to be here need not be read again. */
  trusted: boolean;
  writer: ChunkWriter;
  /** After so many bytes too chunks are made durable. */
  syncBytes: number;
  /** Other artifacts that chunks may be copied from. */
  sources: () => AsyncIterable<CopySource>;
  /** `intact`: nothing failed that makes the claims doubtful. */
  onClose: (intact: boolean) => void;
}

/**
 * An artifact that is written in place. A bit of `have` on disk is set only when the chunk's bytes
 * are durable, so that it never claims what a power cut took; `recent` saves a killed process, whose
 * bytes the kernel still has, from fetching the last seconds again.
 */
export class DirectoryArtifactWrite implements ArtifactWrite, CopyTarget {
  readonly manifest: Manifest;
  readonly have: Bitfield;
  #bytesDone = 0;
  readonly #directory: string;
  readonly #files: { data: FileHandle; have: FileHandle; recent: FileHandle };
  readonly #onClose: (intact: boolean) => void;
  readonly #writer: ChunkWriter;
  readonly #syncBytes: number;
  readonly #sources: () => AsyncIterable<CopySource>;
  #unsyncedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #syncing: Promise<void> | undefined;
  #failure: unknown;
  readonly #writing = new Set<Promise<boolean>>();
  #closed: Promise<void> | undefined;

  private constructor(
    directory: string,
    manifest: Manifest,
    have: Bitfield,
    files: { data: FileHandle; have: FileHandle; recent: FileHandle },
    { onClose, writer, sources, syncBytes }: OpenOptions,
  ) {
    this.#directory = directory;
    this.manifest = manifest;
    this.have = have;
    this.#files = files;
    this.#onClose = onClose;
    this.#writer = writer;
    this.#sources = sources;
    this.#syncBytes = syncBytes;
    for (let index = 0; index < manifest.chunkCount; index++) {
      if (have.has(index)) this.#bytesDone += manifest.sizeOf(index);
    }
  }

  /** The directory has the manifest; whatever else it has of the artifact is taken up. */
  static async open(
    directory: string,
    manifest: Manifest,
    options: OpenOptions,
  ): Promise<DirectoryArtifactWrite> {
    const opened: FileHandle[] = [];
    const file = async (name: string, flags = 0): Promise<FileHandle> => {
      const always = constants.O_RDWR | constants.O_CREAT;
      const own = path.join(directory, name);
      const handle = await open(own, always | flags).catch((error: unknown) => {
        throw fileError(error, own);
      });
      opened.push(handle);
      return handle;
    };
    try {
      const data = await file(FILES.partial);
      const have = await readHere(directory, manifest, data, options.trusted);
      const recent = await file(FILES.recent, constants.O_APPEND);
      const files = { data, have: await file(FILES.have), recent };
      const write = new DirectoryArtifactWrite(directory, manifest, have, files, options);
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

  /** The artifact's data, to read from. */
  get file(): FileHandle {
    return this.#files.data;
  }

  async put(index: number, bytes: Uint8Array): Promise<boolean> {
    if (bytes.byteLength !== this.manifest.sizeOf(index)) return false;
    return this.#put(index, bytes);
  }

  copy(index: number, from: FileHandle, position: number): Promise<boolean> {
    return this.#put(index, { fd: from.fd, position, length: this.manifest.sizeOf(index) });
  }

  findCopies(onDamaged: (digest: string) => void): Promise<LocalCopies> {
    this.#check();
    return findCopies(this, this.#sources(), onDamaged);
  }

  async #put(index: number, bytes: ChunkJob["bytes"]): Promise<boolean> {
    this.#check();
    if (this.have.has(index)) return true;
    const writing = this.#run(index, bytes);
    this.#writing.add(writing);
    try {
      return await writing;
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
      throw storeError(error);
    } finally {
      await Promise.all(Object.values(this.#files).map((file) => file.close()));
      this.#onClose(this.#failure === undefined);
    }
  }

  async #run(index: number, bytes: ChunkJob["bytes"]): Promise<boolean> {
    const { manifest } = this;
    const entry = Buffer.alloc(RECENT_ENTRY_BYTES);
    entry.writeUInt32BE(index);
    const job: ChunkJob = {
      hash: manifest.hash(index),
      bytes,
      fd: this.#files.data.fd,
      position: manifest.offset(index),
      log: this.#files.recent.fd,
      entry,
    };
    if (!(await this.#writer.run(job))) return false;
    if (!this.have.set(index)) return true;
    this.#bytesDone += manifest.sizeOf(index);
    this.#unsyncedBytes += manifest.sizeOf(index);
    this.#timer ??= setTimeout(() => this.#syncInBackground(), SYNC_MS).unref();
    if (this.#unsyncedBytes >= this.#syncBytes) this.#syncInBackground();
    return true;
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
    await this.#files.data.datasync();
    await writeFully(this.#files.have, 0, bits);
    await this.#files.have.datasync();
    // Entries that came meanwhile, or are about to, are still needed: the next time takes them too.
    if (this.#writing.size === 0 && this.#unsyncedBytes === 0) await this.#files.recent.truncate(0);
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
