import { open, opendir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { makeDirectory } from "../process/data-directory.js";
import { errorCode } from "../store/errors.js";
import { readFully, syncDirectory } from "../store/files.js";
import { ManifestError, decodeManifest, type Manifest } from "../store/manifest.js";
import {
  digestHex,
  type BlobStore,
  type BlobWrite,
  type OpenBlob,
  type ReadOptions,
} from "./blob-store.js";
import { DirectoryWrite } from "./directory-write.js";
import { BlobStoreError, fromSystemError } from "./errors.js";
import { TemporaryFiles } from "./temporary-files.js";

const READ_BUFFER_BYTES = 256 * 1024;
const HEX_PATTERN = /^[0-9a-f]{64}$/;

/**
 * A blob store in a directory: `blobs/<hex>` and `manifests/<hex>`, and `tmp/` for what is not
 * whole yet. Creates what is missing, and removes temporary files that are older than a day.
 * Several processes may open one directory, also over a network file system.
 * @throws BlobStoreError if the directory cannot be used.
 */
export async function openDirectoryBlobStore(directory: string): Promise<BlobStore> {
  const root = path.resolve(directory);
  try {
    for (const name of ["blobs", "manifests", "tmp"]) {
      await makeDirectory(path.join(root, name));
    }
    await syncDirectory(root);
    return new DirectoryBlobStore(root, await TemporaryFiles.open(path.join(root, "tmp")));
  } catch (error) {
    throw fromSystemError(`open blob store ${root}`, error);
  }
}

class DirectoryBlobStore implements BlobStore {
  readonly #root: string;
  readonly #temporary: TemporaryFiles;

  constructor(root: string, temporary: TemporaryFiles) {
    this.#root = root;
    this.#temporary = temporary;
  }

  async stat(digest: string): Promise<{ sizeBytes: number } | undefined> {
    const hex = digestHex(digest);
    try {
      const blob = await stat(this.#path("blobs", hex));
      await stat(this.#path("manifests", hex));
      return { sizeBytes: blob.size };
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw fromSystemError(`look at ${digest}`, error);
    }
  }

  async readManifest(digest: string): Promise<Buffer | undefined> {
    const hex = digestHex(digest);
    try {
      // A manifest without its blob is a put that has not ended.
      await stat(this.#path("blobs", hex));
      return await readFile(this.#path("manifests", hex));
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw fromSystemError(`read the manifest of ${digest}`, error);
    }
  }

  async *read(
    digest: string,
    offset: number,
    length: number,
    { signal }: ReadOptions = {},
  ): AsyncIterable<Buffer> {
    const hex = digestHex(digest);
    if (![offset, length].every((value) => Number.isSafeInteger(value) && value >= 0)) {
      throw new BlobStoreError("invalid", `bad range: ${length} bytes from ${offset}`);
    }
    signal?.throwIfAborted();
    const file = await open(this.#path("blobs", hex), "r").catch((error: unknown) => {
      if (errorCode(error) === "ENOENT") throw new BlobStoreError("not-found", `no blob ${digest}`);
      throw fromSystemError(`read ${digest}`, error);
    });
    try {
      const { size } = await file.stat();
      if (offset + length > size) await this.#refuseRange(digest, hex, offset + length, size);
      for (let done = 0; done < length;) {
        signal?.throwIfAborted();
        const buffer = Buffer.allocUnsafe(Math.min(READ_BUFFER_BYTES, length - done));
        const { bytesRead } = await file
          .read(buffer, 0, buffer.length, offset + done)
          .catch((error: unknown) => {
            throw fromSystemError(`read ${digest}`, error);
          });
        if (bytesRead === 0) {
          throw new BlobStoreError("corrupt", `blob ${digest} became shorter while it was read`);
        }
        done += bytesRead;
        yield bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  async open(digest: string): Promise<OpenBlob | undefined> {
    const hex = digestHex(digest);
    try {
      return await openBlob(this.#path("blobs", hex), digest);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw fromSystemError(`open ${digest}`, error);
    }
  }

  async beginPut(manifestBytes: Uint8Array): Promise<BlobWrite> {
    const manifest = decode(manifestBytes);
    const hex = digestHex(manifest.digest);
    try {
      const there = await this.stat(manifest.digest);
      const write = new DirectoryWrite(manifest, this.#temporary, () =>
        this.#publish(manifest, hex),
      );
      if (there?.sizeBytes === manifest.sizeBytes) write.alreadyThere();
      else await write.open(hex, this.#path("blobs", hex));
      return write;
    } catch (error) {
      throw fromSystemError(`begin to put ${manifest.digest}`, error);
    }
  }

  async *list(): AsyncIterable<string> {
    try {
      for await (const entry of await opendir(path.join(this.#root, "blobs"))) {
        if (!HEX_PATTERN.test(entry.name)) continue;
        const digest = `sha256:${entry.name}`;
        if ((await this.stat(digest)) !== undefined) yield digest;
      }
    } catch (error) {
      throw fromSystemError("list the blobs", error);
    }
  }

  async delete(digest: string): Promise<void> {
    const hex = digestHex(digest);
    try {
      // The blob first: without it the artifact is gone, whatever happens then.
      for (const kind of ["blobs", "manifests"] as const) {
        await rm(this.#path(kind, hex), { force: true });
        await syncDirectory(path.join(this.#root, kind));
      }
    } catch (error) {
      throw fromSystemError(`delete ${digest}`, error);
    }
  }

  /** Puts the manifest in its place, durably. Before the blob, and again if somebody deletes it. */
  async #publish(manifest: Manifest, hex: string): Promise<void> {
    const file = this.#path("manifests", hex);
    const present = await readFile(file).catch((error: unknown) => {
      if (errorCode(error) !== "ENOENT") throw error;
      return undefined;
    });
    if (present?.equals(manifest.bytes)) return;
    const temporary = this.#temporary.create(hex);
    try {
      const handle = await open(temporary, "wx", 0o644);
      try {
        await handle.writeFile(manifest.bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, file);
      await syncDirectory(path.dirname(file));
    } finally {
      await rm(temporary, { force: true });
      this.#temporary.release(temporary);
    }
  }

  async #refuseRange(digest: string, hex: string, end: number, size: number): Promise<never> {
    const manifestBytes = await readFile(this.#path("manifests", hex)).catch(() => undefined);
    const whole = manifestBytes === undefined ? size : decode(manifestBytes).sizeBytes;
    if (end <= whole) {
      const message = `blob ${digest} has ${size} bytes, its manifest says ${whole}`;
      throw new BlobStoreError("corrupt", message);
    }
    throw new BlobStoreError("invalid", `range ends at ${end}, blob ${digest} at ${size}`);
  }

  #path(kind: "blobs" | "manifests", hex: string): string {
    return path.join(this.#root, kind, hex);
  }
}

async function openBlob(file: string, digest: string): Promise<OpenBlob> {
  const handle = await open(file, "r");
  try {
    const { size } = await handle.stat();
    return {
      sizeBytes: size,
      readInto: async (offset, length, into) => {
        if (offset + length > size) {
          throw new BlobStoreError("corrupt", `blob ${digest} ends before ${offset + length}`);
        }
        await readFully(handle, offset, length, into).catch((error: unknown) => {
          throw fromSystemError(`read ${digest}`, error);
        });
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function decode(manifestBytes: Uint8Array): Manifest {
  try {
    return decodeManifest(manifestBytes);
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new BlobStoreError("invalid", `bad manifest: ${error.message}`, { cause: error });
  }
}
