import { createHash } from "node:crypto";
import {
  ARTIFACT_DIGEST_PATTERN,
  CHUNK_MAX_BYTES,
  HashAlgorithm,
  MANIFEST_MAX_BYTES,
  Manifest as ManifestMessage,
} from "@slipway/proto";

/** Bytes of a SHA-256. */
export const HASH_BYTES = 32;
/** Largest artifact, in bytes: 1 TiB. */
const ARTIFACT_MAX_BYTES = 2 ** 40;

/** The bytes are no valid manifest, or not the one they were said to be. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
}

/** Which chunks, in order, make up an artifact. Immutable. */
export class Manifest {
  /** "sha256:<hex>": the SHA-256 of the manifest's own bytes, by which the artifact is named. */
  readonly digest: string;
  /** The bytes as the builder wrote them. */
  readonly bytes: Buffer;
  readonly sizeBytes: number;
  readonly chunkCount: number;
  /** Size of the largest chunk. */
  readonly largestChunkBytes: number;
  /** SHA-256 of the whole artifact. */
  readonly contentHash: Buffer;
  readonly #offsets: Float64Array;
  readonly #hashes: Buffer;

  /** Use decodeManifest: this trusts what it is given. */
  constructor(bytes: Buffer, offsets: Float64Array, hashes: Buffer, contentHash: Buffer) {
    this.bytes = bytes;
    this.digest = artifactDigest(bytes);
    this.chunkCount = offsets.length - 1;
    this.sizeBytes = offsets[this.chunkCount] ?? 0;
    this.contentHash = contentHash;
    this.#offsets = offsets;
    this.#hashes = hashes;
    let largest = 0;
    for (let index = 0; index < this.chunkCount; index++) {
      largest = Math.max(largest, this.sizeOf(index));
    }
    this.largestChunkBytes = largest;
  }

  /** Where a chunk starts in the artifact, in bytes. RangeError if there is no such chunk. */
  offset(index: number): number {
    this.#check(index);
    return this.#offsets[index] ?? 0;
  }

  /** A chunk's size in bytes. RangeError if there is no such chunk. */
  sizeOf(index: number): number {
    this.#check(index);
    return (this.#offsets[index + 1] ?? 0) - (this.#offsets[index] ?? 0);
  }

  /** A chunk's SHA-256, a view. RangeError if there is no such chunk. */
  hash(index: number): Buffer {
    this.#check(index);
    return this.#hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }

  /** Whether these are a chunk's bytes. */
  verify(index: number, bytes: Uint8Array): boolean {
    return (
      bytes.byteLength === this.sizeOf(index) &&
      createHash("sha256").update(bytes).digest().equals(this.hash(index))
    );
  }

  #check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.chunkCount) {
      throw new RangeError(`no chunk ${index} in an artifact of ${this.chunkCount}`);
    }
  }
}

/** What an artifact is called: the SHA-256 of its manifest's bytes, "sha256:<hex>". */
export function artifactDigest(manifestBytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(manifestBytes).digest("hex")}`;
}

/** The 64 hex digits of a digest. Throws ManifestError if it is none, so that it is safe in a path. */
export function digestHex(digest: string): string {
  if (!ARTIFACT_DIGEST_PATTERN.test(digest)) {
    throw new ManifestError(`not an artifact digest: ${JSON.stringify(digest.slice(0, 100))}`);
  }
  return digest.slice("sha256:".length);
}

/** A digest from the 32 bytes that the swarm's wire carries. */
export function digestFromBytes(bytes: Uint8Array): string {
  if (bytes.byteLength !== HASH_BYTES) {
    throw new ManifestError(`a digest has ${HASH_BYTES} bytes, not ${bytes.byteLength}`);
  }
  return `sha256:${Buffer.from(bytes).toString("hex")}`;
}

/** A digest as the 32 bytes that the swarm's wire carries. */
export function digestToBytes(digest: string): Buffer {
  return Buffer.from(digestHex(digest), "hex");
}

/** What a chunker found. */
export interface ManifestContent {
  chunkSizes: readonly number[];
  /** One SHA-256 after the other. */
  chunkHashes: Uint8Array;
  contentHash: Uint8Array;
}

/** A manifest's bytes. Throws ManifestError if decodeManifest would refuse them. */
export function encodeManifest(content: ManifestContent): Buffer {
  const bytes = Buffer.from(
    ManifestMessage.encode(
      ManifestMessage.fromPartial({
        hashAlgorithm: HashAlgorithm.SHA256,
        sizeBytes: content.chunkSizes.reduce((sum, size) => sum + size, 0),
        chunkSizes: [...content.chunkSizes],
        chunkHashes: Buffer.from(content.chunkHashes),
        contentHash: Buffer.from(content.contentHash),
      }),
    ).finish(),
  );
  decodeManifest(bytes);
  return bytes;
}

/**
 * Reads a manifest and checks everything that can be checked without the artifact: sizes, sums,
 * counts, bounds. With a digest, also that these are the bytes it names. Throws ManifestError.
 */
export function decodeManifest(bytes: Uint8Array, digest?: string): Manifest {
  if (bytes.byteLength > MANIFEST_MAX_BYTES) {
    throw new ManifestError(
      `the manifest has ${bytes.byteLength} bytes; ${MANIFEST_MAX_BYTES} is the most`,
    );
  }
  if (digest !== undefined && artifactDigest(bytes) !== digest) {
    throw new ManifestError("the manifest's bytes have another digest");
  }
  const message = parse(bytes);
  if (message.hashAlgorithm !== HashAlgorithm.SHA256) {
    throw new ManifestError(`unknown hash algorithm ${message.hashAlgorithm}`);
  }
  const count = message.chunkSizes.length;
  if (count === 0) throw new ManifestError("an artifact has at least one chunk");
  if (message.chunkHashes.byteLength !== count * HASH_BYTES) {
    throw new ManifestError(
      `${count} chunks but ${message.chunkHashes.byteLength} bytes of hashes`,
    );
  }
  if (message.contentHash.byteLength !== HASH_BYTES) {
    throw new ManifestError(`the content hash has ${message.contentHash.byteLength} bytes`);
  }
  const offsets = new Float64Array(count + 1);
  let offset = 0;
  for (const [index, size] of message.chunkSizes.entries()) {
    if (size < 1 || size > CHUNK_MAX_BYTES) {
      throw new ManifestError(
        `chunk ${index} has ${size} bytes; 1 to ${CHUNK_MAX_BYTES} are allowed`,
      );
    }
    offset += size;
    offsets[index + 1] = offset;
  }
  if (offset !== message.sizeBytes) {
    throw new ManifestError(`the chunks add up to ${offset} bytes, not ${message.sizeBytes}`);
  }
  if (offset > ARTIFACT_MAX_BYTES) {
    throw new ManifestError(`the artifact has ${offset} bytes; ${ARTIFACT_MAX_BYTES} is the most`);
  }
  return new Manifest(
    Buffer.from(bytes),
    offsets,
    Buffer.from(message.chunkHashes),
    Buffer.from(message.contentHash),
  );
}

function parse(bytes: Uint8Array): ManifestMessage {
  try {
    return ManifestMessage.decode(bytes);
  } catch (error) {
    throw new ManifestError("these bytes are no manifest", { cause: error });
  }
}
