import { ARTIFACT_DIGEST_PATTERN } from "@slipway/proto";
import type { Bitfield } from "../store/bitfield.js";
import type { Manifest } from "../store/manifest.js";
import { BlobStoreError } from "./errors.js";

/** How a blob is read. */
export interface ReadOptions {
  /** Ends the read: it throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * Whole, verified artifacts by digest. What it shows is whole: an artifact becomes visible in one
 * step, after every chunk of it was verified and is safe from a power cut. Any number of processes
 * may use one store at once. Methods throw BlobStoreError only, or the reason of an aborted signal.
 */
export interface BlobStore {
  /** The artifact's size if it is there, whole and visible. */
  stat(digest: string): Promise<{ sizeBytes: number } | undefined>;
  /** The bytes of the manifest of an artifact that is there; not verified against the digest. */
  readManifest(digest: string): Promise<Buffer | undefined>;
  /**
   * Streams `length` bytes from `offset`, in buffers of at most 1 MiB, each the receiver's own. Not
   * verified. Throws `not-found`, `corrupt` if the blob is shorter than it should be, `invalid` for
   * a range outside of it.
   */
  read(
    digest: string,
    offset: number,
    length: number,
    options?: ReadOptions,
  ): AsyncIterable<Buffer>;
  /** A blob to read from here and there; undefined if it is not there. Close it. */
  open(digest: string): Promise<OpenBlob | undefined>;
  /**
   * Begins to put the artifact that this manifest names, going on from chunks that a former put
   * left behind and that still verify. Puts of one artifact at the same time are all right.
   * Throws `invalid` for a manifest that cannot be.
   */
  beginPut(manifestBytes: Uint8Array): Promise<BlobWrite>;
  /** The digests of all visible artifacts, in no order. */
  list(): AsyncIterable<string>;
  /** Removes an artifact. One that is not there is fine. */
  delete(digest: string): Promise<void>;
}

/** A blob that stays readable, as it is, until it is closed. */
export interface OpenBlob {
  readonly sizeBytes: number;
  /**
   * Fills the first `length` bytes of `into` with the blob's from `offset` on. Not verified. Throws
   * `corrupt` if the blob ends before.
   */
  readInto(offset: number, length: number, into: Buffer): Promise<void>;
  /** May be called twice. */
  close(): Promise<void>;
}

/** One artifact on its way into a store. */
export interface BlobWrite {
  readonly digest: string;
  readonly manifest: Manifest;
  /** Bytes in chunks that are there and verified. */
  readonly bytesDone: number;
  /** True for a chunk that is there and verified. */
  has(index: number): boolean;
  /** The chunks that are; a live view, not to be changed. */
  readonly have: Bitfield;
  /**
   * Verifies a chunk and keeps it. Chunks may come in any order and several at a time; one that is
   * there already is dropped. Throws `corrupt` if the bytes are not that chunk.
   */
  writeChunk(index: number, bytes: Uint8Array): Promise<void>;
  /** Fills the first bytes of `into` with a chunk that is there. Until it is closed. */
  readChunk(index: number, into: Buffer): Promise<void>;
  /** Makes the artifact visible. Throws `invalid` if a chunk is missing. */
  commit(): Promise<void>;
  /** Ends the put; without a commit its chunks stay for a later put. May be called twice. */
  close(): Promise<void>;
}

/**
 * The 64 hexadecimal digits of a digest, which are safe as a file name.
 * @throws BlobStoreError `invalid` for anything but "sha256:" and 64 lower-case digits.
 */
export function digestHex(digest: string): string {
  if (!ARTIFACT_DIGEST_PATTERN.test(digest)) {
    throw new BlobStoreError(
      "invalid",
      `not an artifact digest: ${JSON.stringify(digest.slice(0, 100))}`,
    );
  }
  return digest.slice("sha256:".length);
}
