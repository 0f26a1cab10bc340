import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { Manifest as ManifestMessage } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Bitfield } from "../../src/store/bitfield.js";
import { chunkFile } from "../../src/store/chunker.js";
import {
  ManifestError,
  artifactDigest,
  decodeManifest,
  digestFromBytes,
  digestHex,
  digestToBytes,
  encodeManifest,
} from "../../src/store/manifest.js";
import { makeArtifact, temporaryDirectory } from "./fixtures.js";

const zeros = (length: number): Buffer => Buffer.alloc(length);

test("the bytes of a manifest, and so its digest, never change", () => {
  const bytes = encodeManifest({
    chunkSizes: [5, 300],
    chunkHashes: zeros(64).fill(0xab),
    contentHash: zeros(32).fill(0xcd),
  });
  assert.is(
    bytes.toString("hex"),
    `080110b1021a0305ac022240${"ab".repeat(64)}2a20${"cd".repeat(32)}`,
  );
  assert.is(artifactDigest(bytes), `sha256:${createHash("sha256").update(bytes).digest("hex")}`);
});

test("a manifest knows where chunks are", () => {
  const { content, manifest } = makeArtifact([3, 5, 1]);
  assert.is(manifest.sizeBytes, 9);
  assert.is(manifest.chunkCount, 3);
  assert.is(manifest.largestChunkBytes, 5);
  assert.equal(
    [0, 1, 2].map((index) => manifest.offset(index)),
    [0, 3, 8],
  );
  assert.equal(
    [0, 1, 2].map((index) => manifest.sizeOf(index)),
    [3, 5, 1],
  );
  assert.ok(manifest.verify(1, content.subarray(3, 8)));
  assert.not(manifest.verify(1, content.subarray(3, 7)));
  assert.not(manifest.verify(0, content.subarray(3, 8)));
  for (const index of [-1, 3, 0.5, NaN]) assert.throws(() => manifest.sizeOf(index), /no chunk/);
});

for (const [what, change] of Object.entries<(message: ManifestMessage) => void>({
  "another hash algorithm": (message) => Object.assign(message, { hashAlgorithm: 7 }),
  "no chunks": (message) =>
    Object.assign(message, { chunkSizes: [], chunkHashes: zeros(0), sizeBytes: 0 }),
  "a chunk of 0 bytes": (message) => Object.assign(message, { chunkSizes: [0, 8], sizeBytes: 8 }),
  "a chunk beyond 16 MiB": (message) => (message.chunkSizes[0] = 16 * 1024 * 1024 + 1),
  "a wrong sum": (message) => (message.sizeBytes += 1),
  "a claimed petabyte": (message) => (message.sizeBytes = 2 ** 50),
  "too few hashes": (message) => (message.chunkHashes = zeros(32)),
  "a cut hash": (message) => (message.chunkHashes = zeros(63)),
  "a short content hash": (message) => (message.contentHash = zeros(31)),
})) {
  test(`a manifest with ${what} is refused`, () => {
    const message = ManifestMessage.decode(makeArtifact([4, 4]).manifest.bytes);
    change(message);
    const bytes = ManifestMessage.encode(message).finish();
    assert.throws(
      () => decodeManifest(bytes),
      (error: unknown) => error instanceof ManifestError,
    );
  });
}

test("random bytes are refused as a manifest, and nothing else happens", () => {
  const { manifest } = makeArtifact([10, 20, 30]);
  for (let round = 0; round < 2_000; round++) {
    const bytes = round % 2 === 0 ? randomBytes(round % 200) : Buffer.from(manifest.bytes);
    if (round % 2 === 1) bytes[round % bytes.length] = round & 0xff;
    try {
      const decoded = decodeManifest(bytes);
      assert.is(decoded.offset(decoded.chunkCount - 1) >= 0, true);
    } catch (error) {
      assert.instance(error, ManifestError);
    }
  }
});

test("another digest than the expected one is refused", () => {
  const { manifest } = makeArtifact([10]);
  assert.is(decodeManifest(manifest.bytes, manifest.digest).digest, manifest.digest);
  const other = `sha256:${"0".repeat(64)}`;
  assert.throws(() => decodeManifest(manifest.bytes, other), /another digest/);
});

test("digests are checked before they become a path", () => {
  for (const digest of [
    "",
    "sha256:",
    "sha256:../../etc",
    `sha256:${"G".repeat(64)}`,
    "0".repeat(64),
  ]) {
    assert.throws(() => digestHex(digest), /not an artifact digest/);
  }
  const digest = `sha256:${"0a".repeat(32)}`;
  assert.is(digestFromBytes(digestToBytes(digest)), digest);
  assert.throws(() => digestFromBytes(zeros(31)), /32 bytes/);
});

test("a bitfield counts, and refuses what does not fit", () => {
  const bits = new Bitfield(10);
  assert.ok(bits.set(0));
  assert.ok(bits.set(9));
  assert.not(bits.set(9));
  assert.is(bits.bytes.toString("hex"), "8040");
  assert.is(bits.count, 2);
  assert.is(new Bitfield(10, bits.bytes).count, 2);
  assert.not(bits.copy().full);
  assert.throws(() => bits.set(10), /no bit/);
  assert.throws(() => bits.set(-1), /no bit/);
  assert.throws(() => new Bitfield(10, zeros(1)), /bytes/);
  assert.throws(() => new Bitfield(10, Buffer.from("0001", "hex")), /beyond the end/);
});

test("a file is cut at a fixed size, always into the same manifest", async () => {
  const { dir, remove } = await temporaryDirectory();
  try {
    const file = path.join(dir, "file");
    const content = randomBytes(2500);
    await writeFile(file, content);
    const bytes = await chunkFile(file, { chunkBytes: 1000 });
    const manifest = decodeManifest(bytes);
    assert.equal(
      [0, 1, 2].map((index) => manifest.sizeOf(index)),
      [1000, 1000, 500],
    );
    assert.ok(manifest.verify(2, content.subarray(2000)));
    assert.ok(manifest.contentHash.equals(createHash("sha256").update(content).digest()));
    assert.ok(bytes.equals(await chunkFile(file, { chunkBytes: 1000 })));
    await writeFile(file, content.subarray(0, 2000));
    assert.is(decodeManifest(await chunkFile(file, { chunkBytes: 1000 })).chunkCount, 2);
    await writeFile(file, "");
    await rejects(chunkFile(file), "can't be empty");
    await writeFile(file, "x");
    await rejects(chunkFile(file, { signal: AbortSignal.abort() }), "aborted");
  } finally {
    await remove();
  }
});

async function rejects(promise: Promise<unknown>, message: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, Error);
  assert.match(String(error), message);
}

test.run();
