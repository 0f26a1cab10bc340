import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import type { ReadableArtifact } from "../swarm/types.js";
import {
  TRASH,
  describe,
  isWhole,
  readable,
  removeDirectory,
  touch,
} from "./artifact-directory.js";
import { FILES } from "./artifact-files.js";
import { DirectoryArtifactWrite } from "./artifact-write.js";
import { ChunkWriter } from "./chunk-writer.js";
import { ArtifactBusyError, ArtifactDamagedError, storeError } from "./errors.js";
import { openIfThere, readIfThere, statIfThere, syncDirectory } from "./files.js";
import type { CopySource } from "./local-copies.js";
import { type Manifest, ManifestError, decodeManifest, digestHex } from "./manifest.js";
import { readClaims } from "./resume.js";
import type { ArtifactStore, ArtifactWrite, Collected, StoredArtifact } from "./types.js";

export interface ArtifactStoreOptions {
  /** After so many bytes, chunks are made durable: what a power cut costs. Default: 256 MiB. */
  syncBytes?: number;
}

/** Opens, or makes, the artifacts of a host: `<directory>/artifacts/<hex of the digest>/`. */
export async function openArtifactStore(
  directory: string,
  { syncBytes = SYNC_BYTES }: ArtifactStoreOptions = {},
): Promise<ArtifactStore> {
  const root = path.join(directory, "artifacts");
  await mkdir(root, { recursive: true });
  for (const name of await readdir(root)) {
    if (name.startsWith(TRASH)) await rm(path.join(root, name), { recursive: true, force: true });
  }
  return new DirectoryArtifactStore(root, syncBytes);
}

const SYNC_BYTES = 256 * 1024 * 1024;
/** So many artifacts are looked at for chunks that a new one has too. */
const COPY_SOURCES_MAX = 8;
const HEX_PATTERN = /^[0-9a-f]{64}$/;

class DirectoryArtifactStore implements ArtifactStore {
  readonly #root: string;
  /** Digest → how many hold it open. */
  readonly #users = new Map<string, number>();
  readonly #writing = new Set<string>();
  /** Incomplete ones of which this process has seen every byte that is claimed to be here. */
  readonly #seen = new Set<string>();
  /** Whoever wants one of these waits until it is gone. */
  readonly #removing = new Map<string, Promise<void>>();
  readonly #writer = new ChunkWriter();
  readonly #syncBytes: number;

  constructor(root: string, syncBytes: number) {
    this.#root = root;
    this.#syncBytes = syncBytes;
  }

  async open(digest: string): Promise<ReadableArtifact | undefined> {
    const directory = this.#directory(digest);
    const release = await this.#use(digest);
    let file: FileHandle | undefined;
    try {
      file = await openIfThere(path.join(directory, FILES.data));
      const manifest = file && (await this.#manifest(digest));
      if (file === undefined || manifest === undefined) {
        await file?.close();
        release();
        return undefined;
      }
      const { size } = await file.stat();
      if (size !== manifest.sizeBytes) {
        throw new ArtifactDamagedError(
          `${digest} has ${size} bytes on disk, not ${manifest.sizeBytes}`,
        );
      }
      await touch(directory);
      return readable(file, manifest, release);
    } catch (error) {
      await file?.close();
      release();
      throw error;
    }
  }

  async path(digest: string): Promise<string | undefined> {
    const file = path.join(this.#directory(digest), FILES.data);
    return (await statIfThere(file)) === undefined ? undefined : file;
  }

  async verify(digest: string): Promise<boolean> {
    const directory = this.#directory(digest);
    const release = await this.#use(digest);
    try {
      const file = await openIfThere(path.join(directory, FILES.data));
      if (file === undefined) return false;
      try {
        const manifest = await this.#manifest(digest);
        if (manifest !== undefined && (await isWhole(file, manifest))) return true;
      } finally {
        await file.close();
      }
      // Who reads from it at this moment verifies what is read.
      await rm(path.join(directory, FILES.data));
      await syncDirectory(directory);
      return false;
    } finally {
      release();
    }
  }

  async readManifest(digest: string): Promise<Buffer | undefined> {
    return (await this.#manifest(digest))?.bytes;
  }

  async begin(manifestBytes: Uint8Array): Promise<ArtifactWrite> {
    const manifest = decodeManifest(manifestBytes);
    const { digest } = manifest;
    const release = await this.#use(digest);
    if (this.#writing.has(digest)) {
      release();
      throw new ArtifactBusyError(`${digest} is being written`);
    }
    this.#writing.add(digest);
    const done = (intact: boolean): void => {
      this.#writing.delete(digest);
      if (intact) this.#seen.add(digest);
      release();
    };
    try {
      const directory = this.#directory(digest);
      await mkdir(directory, { recursive: true });
      await this.#putManifest(directory, manifest);
      if ((await this.path(digest)) !== undefined) {
        throw new ArtifactBusyError(`${digest} is complete already`);
      }
      await touch(directory);
      // What another process left may have been damaged since; a retry need not read it all again.
      const trusted = this.#seen.delete(digest);
      return await DirectoryArtifactWrite.open(directory, manifest, {
        trusted,
        writer: this.#writer,
        syncBytes: this.#syncBytes,
        sources: () => this.#copySources(digest),
        onClose: done,
      });
    } catch (error) {
      done(false);
      throw storeError(error);
    }
  }

  async list(): Promise<StoredArtifact[]> {
    const names = (await readdir(this.#root)).filter((name) => HEX_PATTERN.test(name));
    const artifacts = await Promise.all(names.map((name) => describe(this.#root, name)));
    return artifacts.filter((artifact) => artifact !== undefined);
  }

  async remove(digest: string): Promise<void> {
    const directory = this.#directory(digest);
    if (this.#users.has(digest)) throw new ArtifactBusyError(`${digest} is in use`);
    this.#seen.delete(digest);
    const removing = (this.#removing.get(digest) ?? removeDirectory(this.#root, directory)).finally(
      () => this.#removing.delete(digest),
    );
    this.#removing.set(digest, removing);
    await removing;
  }

  async collect(
    keep: { has: (digest: string) => boolean },
    { maxBytes }: { maxBytes: number },
  ): Promise<Collected> {
    const artifacts = (await this.list()).sort((a, b) => a.usedAt.getTime() - b.usedAt.getTime());
    let remainingBytes = artifacts.reduce((sum, artifact) => sum + artifact.diskBytes, 0);
    const collected: Collected = { removed: [], freedBytes: 0, remainingBytes };
    for (const { digest, diskBytes } of artifacts) {
      if (remainingBytes <= maxBytes) break;
      // Asked again at each one: somebody may have opened it since.
      if (keep.has(digest) || this.#users.has(digest)) continue;
      await this.remove(digest);
      remainingBytes -= diskBytes;
      collected.removed.push(digest);
      collected.freedBytes += diskBytes;
    }
    return { ...collected, remainingBytes };
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  /** What a new artifact may have chunks in common with, the last used first. */
  async *#copySources(digest: string): AsyncGenerator<CopySource, void, void> {
    const artifacts = (await this.list()).sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime());
    const others = artifacts.filter((artifact) => artifact.digest !== digest);
    for (const other of others.slice(0, COPY_SOURCES_MAX)) {
      const source = await this.#copySource(other.digest);
      if (source !== undefined) yield source;
    }
  }

  async #copySource(digest: string): Promise<CopySource | undefined> {
    const directory = this.#directory(digest);
    const release = await this.#use(digest);
    let file: FileHandle | undefined;
    try {
      const whole = await openIfThere(path.join(directory, FILES.data));
      file = whole ?? (await openIfThere(path.join(directory, FILES.partial)));
      const manifest = file && (await this.#manifest(digest));
      if (file === undefined || manifest === undefined) throw new Error("nothing to copy from");
      const claimed = whole === undefined ? await readClaims(directory, manifest) : undefined;
      const close = file.close.bind(file);
      return {
        manifest,
        complete: whole !== undefined,
        file,
        has: (chunk) => claimed?.has(chunk) ?? true,
        close: () => close().finally(release),
      };
    } catch {
      // What can't be read can't be copied from: the chunks are fetched then.
      await file?.close();
      release();
      return undefined;
    }
  }

  async #manifest(digest: string): Promise<Manifest | undefined> {
    const bytes = await readIfThere(path.join(this.#directory(digest), FILES.manifest));
    if (bytes === undefined) return undefined;
    try {
      return decodeManifest(bytes, digest);
    } catch (error) {
      // Cut by a crash, or damaged: as if it were not here; begin writes it again.
      if (error instanceof ManifestError) return undefined;
      throw error;
    }
  }

  async #putManifest(directory: string, manifest: Manifest): Promise<void> {
    if ((await this.#manifest(manifest.digest)) !== undefined) return;
    const temporary = path.join(directory, `${FILES.manifest}.new`);
    const file = await open(temporary, "w");
    try {
      await file.writeFile(manifest.bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path.join(directory, FILES.manifest));
    await syncDirectory(directory);
    await syncDirectory(this.#root);
  }

  /** Also what keeps a digest from becoming a path that leads elsewhere. */
  #directory(digest: string): string {
    return path.join(this.#root, digestHex(digest));
  }

  /** Keeps it from being removed until released. */
  async #use(digest: string): Promise<() => void> {
    for (let gone = this.#removing.get(digest); gone !== undefined;) {
      await gone.catch(() => undefined);
      gone = this.#removing.get(digest);
    }
    this.#users.set(digest, (this.#users.get(digest) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const users = (this.#users.get(digest) ?? 1) - 1;
      if (users === 0) this.#users.delete(digest);
      else this.#users.set(digest, users);
    };
  }
}
