import { open, rename, rm, stat, type FileHandle } from "node:fs/promises";
import path from "node:path";
import { Bitfield } from "../store/bitfield.js";
import { readFully, syncDirectory, writeFully } from "../store/files.js";
import type { Manifest } from "../store/manifest.js";
import type { BlobWrite } from "./blob-store.js";
import { BlobStoreError, fromSystemError } from "./errors.js";
import type { TemporaryFiles } from "./temporary-files.js";

/** A put into a directory store: a file of its own under `tmp/` until it is whole. */
export class DirectoryWrite implements BlobWrite {
  readonly manifest: Manifest;
  readonly digest: string;
  readonly #temporary: TemporaryFiles;
  readonly #publishManifest: () => Promise<void>;
  readonly have: Bitfield;
  readonly #writing = new Set<Promise<void>>();
  #bytesDone = 0;
  #state:
    | { at: "there" }
    | { at: "open"; handle: FileHandle; temporary: string; target: string }
    | { at: "committed"; handle: FileHandle }
    | { at: "closed" } = { at: "closed" };

  constructor(manifest: Manifest, temporary: TemporaryFiles, publishManifest: () => Promise<void>) {
    this.manifest = manifest;
    this.digest = manifest.digest;
    this.#temporary = temporary;
    this.#publishManifest = publishManifest;
    this.have = new Bitfield(manifest.chunkCount);
  }

  get bytesDone(): number {
    return this.#bytesDone;
  }

  /** The artifact is in the store: there is nothing to do. */
  alreadyThere(): void {
    for (let index = 0; index < this.manifest.chunkCount; index++) this.#mark(index);
    this.#state = { at: "there" };
  }

  /** Goes on from what a former put left behind, or starts a file. */
  async open(hex: string, target: string): Promise<void> {
    const adopted = await this.#temporary.adopt(hex);
    const temporary = adopted ?? this.#temporary.create(hex);
    let handle: FileHandle | undefined;
    try {
      handle = await open(temporary, adopted === undefined ? "wx+" : "r+", 0o644);
      if (adopted !== undefined) await this.#verifyPresent(handle);
      this.#state = { at: "open", handle, temporary, target };
    } catch (error) {
      await handle?.close();
      this.#temporary.release(temporary);
      throw error;
    }
  }

  has(index: number): boolean {
    return this.have.has(index);
  }

  async writeChunk(index: number, bytes: Uint8Array): Promise<void> {
    if (!Number.isInteger(index) || index < 0 || index >= this.manifest.chunkCount) {
      throw new BlobStoreError("invalid", `no chunk ${index} in ${this.digest}`);
    }
    if (!this.manifest.verify(index, bytes)) {
      throw new BlobStoreError("corrupt", `bad bytes for chunk ${index} of ${this.digest}`);
    }
    if (this.has(index)) return;
    if (this.#state.at !== "open") throw new BlobStoreError("invalid", "the put has ended");
    const writing = writeFully(this.#state.handle, this.manifest.offset(index), bytes);
    this.#writing.add(writing);
    try {
      await writing;
    } catch (error) {
      throw fromSystemError(`write chunk ${index} of ${this.digest}`, error);
    } finally {
      this.#writing.delete(writing);
    }
    this.#mark(index);
  }

  async readChunk(index: number, into: Buffer): Promise<void> {
    const state = this.#state;
    if (!this.has(index) || (state.at !== "open" && state.at !== "committed")) {
      throw new BlobStoreError("invalid", `chunk ${index} of ${this.digest} cannot be read here`);
    }
    const { manifest } = this;
    await readFully(state.handle, manifest.offset(index), manifest.sizeOf(index), into).catch(
      (error: unknown) => {
        throw fromSystemError(`read chunk ${index} of ${this.digest}`, error);
      },
    );
  }

  async commit(): Promise<void> {
    const state = this.#state;
    if (state.at === "there" || state.at === "committed") return;
    if (state.at === "closed") throw new BlobStoreError("invalid", "the put has ended");
    const missing = this.manifest.chunkCount - this.have.count;
    if (missing > 0) {
      throw new BlobStoreError("invalid", `${missing} chunks of ${this.digest} are missing`);
    }
    try {
      await Promise.allSettled(this.#writing);
      // A former put of this file may have been cut off by a power cut; never leave more behind.
      await state.handle.truncate(this.manifest.sizeBytes);
      await state.handle.sync();
      await this.#publishManifest();
      await rename(state.temporary, state.target);
      await syncDirectory(path.dirname(state.target));
      // A delete at the same moment may have taken the manifest away again.
      await this.#publishManifest();
      await stat(state.target);
      this.#state = { at: "committed", handle: state.handle };
    } catch (error) {
      throw fromSystemError(`commit ${this.digest}`, error);
    }
    this.#temporary.release(state.temporary);
  }

  async close(): Promise<void> {
    const state = this.#state;
    if (state.at !== "open" && state.at !== "committed") return;
    this.#state = { at: "closed" };
    await Promise.allSettled(this.#writing);
    await state.handle.close();
    if (state.at === "committed") return;
    if (this.have.count === 0) await rm(state.temporary, { force: true });
    this.#temporary.release(state.temporary);
  }

  async #verifyPresent(handle: FileHandle): Promise<void> {
    const { size } = await handle.stat();
    const buffer = Buffer.allocUnsafe(this.manifest.largestChunkBytes);
    for (let index = 0; index < this.manifest.chunkCount; index++) {
      const length = this.manifest.sizeOf(index);
      if (this.manifest.offset(index) + length > size) break;
      await readFully(handle, this.manifest.offset(index), length, buffer);
      if (this.manifest.verify(index, buffer.subarray(0, length))) this.#mark(index);
    }
  }

  #mark(index: number): void {
    if (this.have.set(index)) this.#bytesDone += this.manifest.sizeOf(index);
  }
}
