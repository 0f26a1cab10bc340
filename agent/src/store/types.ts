import type { ReadableArtifact } from "../swarm/types.js";
import type { Bitfield } from "./bitfield.js";
import type { Manifest } from "./manifest.js";

export interface StoredArtifact {
  digest: string;
  /** All chunks are here. */
  complete: boolean;
  /** Bytes that it takes on disk. */
  diskBytes: number;
  /** When it was last opened, written or finished. */
  usedAt: Date;
}

export interface Collected {
  removed: string[];
  freedBytes: number;
  /** What the store takes on disk now. */
  remainingBytes: number;
}

/** Chunks of an artifact on its way in that are on this disk already, with their sources held open. */
export interface LocalCopies {
  /** Missing chunks that seem to be here, in order. */
  readonly chunks: readonly number[];
  /** Missing chunk that is nowhere here → later chunks with the same bytes. */
  readonly twins: ReadonlyMap<number, readonly number[]>;
  /**
   * Copies one of `chunks` as put would write it. False if its source turned out damaged; nothing
   * is copied from there any more. Throws what put throws.
   */
  copy(chunk: number): Promise<boolean>;
  /** Copies a chunk that is here by now over one with the same bytes. */
  copyTwin(from: number, to: number): Promise<boolean>;
  /** Waits for copies that have begun. May be called twice. */
  close(): Promise<void>;
}

/** An artifact on its way in. Close it when done or not: what is there stays. */
export interface ArtifactWrite {
  readonly digest: string;
  readonly manifest: Manifest;
  /** Chunks that may be read; a live view, not to be changed. */
  readonly have: Bitfield;
  /** Sum of the sizes of the chunks that are here. */
  readonly bytesDone: number;
  /**
   * Verifies a chunk and writes it, on another thread unless the artifact is small; it may be read
   * once this returns. False: these are not its bytes, and nothing was written. A chunk that is here
   * already is left alone. The bytes must not change before it returns; those of a SharedArrayBuffer
   * are not copied. Throws StoreFullError, or ChunkWriterError if the thread died.
   */
  put(index: number, bytes: Uint8Array): Promise<boolean>;
  /**
   * Looks which of the missing chunks other artifacts of the store have, the last used first.
   * `onDamaged` is told of a complete one whose bytes turn out wrong. Close it before the write.
   */
  findCopies(onDamaged: (digest: string) => void): Promise<LocalCopies>;
  /** Fills the first bytes of `into` with a chunk that is here, or throws. */
  readChunk(index: number, into: Buffer): Promise<void>;
  /** With all chunks here: makes it durable, then visible to open. Throws StoreFullError. */
  complete(): Promise<void>;
  /** Makes durable what is here, and lets go. May be called twice. */
  close(): Promise<void>;
}

/** The host's artifacts. One process at a time owns the directory. */
export interface ArtifactStore {
  /**
   * A complete artifact to read from; undefined if it is not here. Kept from removal until closed.
   * Throws ArtifactDamagedError if its file has another size by now.
   */
  open(digest: string): Promise<ReadableArtifact | undefined>;
  /** Path of a complete artifact's file, which is read-only; undefined if it is not here. */
  path(digest: string): Promise<string | undefined>;
  /**
   * Reads all of a complete artifact. False if it is not here, or was damaged: then it is removed,
   * so that it can be fetched again.
   */
  verify(digest: string): Promise<boolean>;
  /** The manifest, also of an incomplete artifact; undefined if it is not here. */
  readManifest(digest: string): Promise<Buffer | undefined>;
  /**
   * Begins an artifact, or goes on where an earlier write ended, also after a crash. One write an
   * artifact at a time. Throws ManifestError, StoreFullError, or ArtifactBusyError.
   */
  begin(manifestBytes: Uint8Array): Promise<ArtifactWrite>;
  list(): Promise<StoredArtifact[]>;
  /** Throws ArtifactBusyError while it is open; fine if it is not here. */
  remove(digest: string): Promise<void>;
  /**
   * While the store takes more than maxBytes on disk, removes what was used longest ago; never what
   * is in `keep`, which is asked at the last moment, or in use.
   */
  collect(
    keep: { has: (digest: string) => boolean },
    limits: { maxBytes: number },
  ): Promise<Collected>;
  /** Ends the store's thread; nothing can be put any more. May be called twice. */
  close(): Promise<void>;
}
