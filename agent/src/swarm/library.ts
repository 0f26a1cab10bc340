import { type Manifest, decodeManifest } from "../store/manifest.js";
import type { ArtifactSource, PartialArtifact, ReadableArtifact } from "./types.js";
import { steadyNow } from "../steady-now.js";

/** An artifact that can be shared, in whole or in part. */
export interface Shared {
  readonly manifest: Manifest;
  readonly complete: boolean;
  has(chunk: number): boolean;
  /** One bit a chunk; only of an incomplete one. */
  bits(): Buffer;
  read(chunk: number, into: Buffer): Promise<void>;
}

/** Artifacts stay open for so long after their last use, and so many at once. */
const IDLE_MS = 10_000;
const OPEN_MAX = 64;

interface Entry {
  shared: Promise<{ artifact: ReadableArtifact; shared: Shared } | undefined>;
  users: number;
  usedAt: number;
  /** To be closed after its last use; others get a new one. */
  forgotten: boolean;
}

/** What this peer can share: what its source has whole, and what it is fetching itself. */
export class Library {
  readonly #source: ArtifactSource;
  readonly #writes = new Map<string, PartialArtifact>();
  readonly #open = new Map<string, Entry>();
  readonly #withheld = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(source: ArtifactSource) {
    this.#source = source;
    this.#timer = setInterval(() => this.#closeIdle(steadyNow()), IDLE_MS / 2).unref();
  }

  addWrite(write: PartialArtifact): void {
    this.#writes.set(write.digest, write);
  }

  removeWrite(digest: string): void {
    this.#writes.delete(digest);
  }

  /** Its bytes on this disk turned out wrong: not shared any more. */
  withhold(digest: string): void {
    this.#withheld.add(digest);
    this.forget(digest);
  }

  /** A new copy came in. */
  release(digest: string): void {
    this.#withheld.delete(digest);
  }

  /** Calls `use` with the artifact, which stays open meanwhile; undefined if it is not here. */
  async use<T>(digest: string, use: (shared: Shared) => Promise<T> | T): Promise<T | undefined> {
    if (this.#withheld.has(digest)) return undefined;
    const write = this.#writes.get(digest);
    if (write !== undefined) return use(partial(write));
    const entry = this.#entry(digest);
    entry.users++;
    entry.usedAt = steadyNow();
    try {
      const opened = await entry.shared;
      return opened === undefined ? undefined : await use(opened.shared);
    } finally {
      entry.users--;
      if (entry.forgotten && entry.users === 0) void closeEntry(entry);
    }
  }

  /** Once closed nothing more is to be used. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const entries = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(entries.map(closeEntry));
  }

  #entry(digest: string): Entry {
    const known = this.#open.get(digest);
    if (known !== undefined) return known;
    if (this.#open.size >= OPEN_MAX) this.#closeIdle(Infinity);
    const shared = this.#source.open(digest).then((artifact) => {
      if (artifact === undefined) return undefined;
      return { artifact, shared: whole(artifact, digest) };
    });
    const entry = { shared, users: 0, usedAt: steadyNow(), forgotten: false };
    this.#open.set(digest, entry);
    const forget = (): void => {
      if (this.#open.get(digest) === entry) this.#open.delete(digest);
    };
    // What is not here now may be a moment later.
    shared.then((opened) => opened ?? forget(), forget);
    return entry;
  }

  /** Whoever asks next opens it anew: it may be another file by then. */
  forget(digest: string): void {
    const entry = this.#open.get(digest);
    if (entry === undefined) return;
    this.#open.delete(digest);
    entry.forgotten = true;
    if (entry.users === 0) void closeEntry(entry);
  }

  #closeIdle(now: number): void {
    for (const [digest, entry] of this.#open) {
      if (entry.users > 0 || now - entry.usedAt < IDLE_MS) continue;
      this.#open.delete(digest);
      void closeEntry(entry);
    }
  }
}

async function closeEntry(entry: Entry): Promise<void> {
  const opened = await entry.shared.catch(() => undefined);
  await opened?.artifact.close();
}

function partial(write: PartialArtifact): Shared {
  return {
    manifest: write.manifest,
    complete: false,
    has: (chunk) => write.have.has(chunk),
    bits: () => Buffer.from(write.have.bytes),
    read: (chunk, into) => write.readChunk(chunk, into),
  };
}

function whole(artifact: ReadableArtifact, digest: string): Shared {
  const manifest = decodeManifest(artifact.manifestBytes, digest);
  return {
    manifest,
    complete: true,
    has: (chunk) => chunk < manifest.chunkCount,
    bits: () => Buffer.alloc(0),
    read: (chunk, into) => artifact.read(manifest.offset(chunk), manifest.sizeOf(chunk), into),
  };
}
