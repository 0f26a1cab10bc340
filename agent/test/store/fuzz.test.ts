import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { HashAlgorithm, Manifest as ManifestMessage } from "@slipway/proto";
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { Bitfield, bitfieldBytes } from "../../src/store/bitfield.js";
import {
  type Manifest,
  ManifestError,
  artifactDigest,
  decodeManifest,
  digestHex,
} from "../../src/store/manifest.js";
import { chunkOf, makeArtifact, temporaryDirectory } from "./fixtures.js";

/** A manifest that holds what it promises, or a ManifestError. */
function decodes(bytes: Uint8Array): Manifest | undefined {
  let manifest;
  try {
    manifest = decodeManifest(bytes);
  } catch (error) {
    assert.instance(error, ManifestError);
    return undefined;
  }
  assert.is(manifest.digest, artifactDigest(bytes));
  let offset = 0;
  for (let index = 0; index < manifest.chunkCount; index++) {
    assert.is(manifest.offset(index), offset);
    assert.is(manifest.hash(index).length, 32);
    assert.ok(manifest.sizeOf(index) > 0 && manifest.sizeOf(index) <= manifest.largestChunkBytes);
    offset += manifest.sizeOf(index);
  }
  assert.is(offset, manifest.sizeBytes);
  assert.throws(() => manifest.offset(manifest.chunkCount), RangeError);
  return manifest;
}

test("any bytes are a valid manifest or a ManifestError", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => void decodes(bytes)));
});

test("a manifest with some bytes changed is valid or a ManifestError", () => {
  const { manifest } = makeArtifact([3, 5, 1000, 70_000]);
  const edits = fc.array(fc.tuple(fc.nat(manifest.bytes.length - 1), fc.nat(255)), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(edits, fc.nat(manifest.bytes.length), (changes, length) => {
      const bytes = Buffer.from(manifest.bytes);
      for (const [at, value] of changes) bytes[at] = value;
      decodes(bytes);
      decodes(bytes.subarray(0, length));
    }),
  );
});

test("sizes that don't add up, or claim petabytes, are refused at the cost of their own bytes", () => {
  const size = fc.oneof(fc.nat(2 ** 20), fc.constantFrom(0, 2 ** 24, 2 ** 24 + 1, 2 ** 32 - 1));
  const total = fc.oneof(fc.nat(2 ** 22), fc.constantFrom(2 ** 40, 2 ** 50, 2 ** 53 - 1));
  const lengths = fc.array(size, { maxLength: 200 });
  fc.assert(
    fc.property(lengths, total, fc.boolean(), fc.nat(200), (sizes, claimed, honest, hashes) => {
      const sum = sizes.reduce((all, each) => all + each, 0);
      const bytes = ManifestMessage.encode({
        hashAlgorithm: HashAlgorithm.SHA256,
        sizeBytes: honest ? sum : claimed,
        chunkSizes: sizes,
        chunkHashes: Buffer.alloc(32 * (honest ? sizes.length : hashes)),
        contentHash: Buffer.alloc(32),
      }).finish();
      const valid =
        sizes.length > 0 &&
        sizes.every((each) => each >= 1 && each <= 2 ** 24) &&
        (honest || (claimed === sum && hashes === sizes.length));
      assert.is(decodes(bytes) !== undefined, valid);
    }),
  );
  const beyond = { chunkSizes: [1], chunkHashes: Buffer.alloc(32), contentHash: Buffer.alloc(32) };
  const hashAlgorithm = HashAlgorithm.SHA256;
  const bytes = ManifestMessage.encode({ ...beyond, hashAlgorithm, sizeBytes: 1 }).finish();
  // A size of 2^63 and more, which no number holds.
  const huge = Buffer.concat([bytes, Buffer.from("10ffffffffffffffffff01", "hex")]);
  assert.is(decodes(huge), undefined);
});

test("a bitfield of any bytes fits and counts, or is a RangeError", () => {
  fc.assert(
    fc.property(fc.nat(80), fc.uint8Array({ maxLength: 10 }), (size, bytes) => {
      const unused = bytes.length * 8 - size;
      const fits = bytes.length === bitfieldBytes(size);
      const clean = unused === 0 || ((bytes.at(-1) ?? 0) & (2 ** unused - 1)) === 0;
      const make = (): Bitfield => new Bitfield(size, Buffer.from(bytes));
      if (!fits || !clean) {
        assert.throws(make, RangeError);
        return;
      }
      const bits = make();
      const set = Array.from({ length: size }, (_, index) => bits.has(index)).filter(Boolean);
      assert.is(bits.count, set.length);
      assert.is(bits.full, set.length === size);
      assert.is(bits.has(size), false);
    }),
  );
});

test("whatever the have and recent files hold, only right chunks are taken up", async () => {
  const { dir, remove } = await temporaryDirectory();
  const { content, manifest } = makeArtifact([10, 200, 30, 4, 50, 60, 7, 80, 90]);
  const own = path.join(dir, "artifacts", digestHex(manifest.digest));
  const bytes = fc.uint8Array({ maxLength: 40 });
  const rightHave = fc.constantFrom(Uint8Array.of(0xff, 0x80), Uint8Array.of(0xf0, 0));
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(bytes, rightHave),
      bytes,
      fc.nat(content.length),
      fc.nat(content.length - 1),
      async (have, recent, length, damagedAt) => {
        const store = await openArtifactStore(dir);
        await (await store.begin(manifest.bytes)).close();
        const data = Buffer.from(content.subarray(0, length));
        if (damagedAt < length) data.writeUInt8(data.readUInt8(damagedAt) ^ 1, damagedAt);
        await writeFile(path.join(own, "data.partial"), data);
        await writeFile(path.join(own, "have"), have);
        await writeFile(path.join(own, "recent"), recent);
        // Another process, which trusts nobody.
        const write = await (await openArtifactStore(dir)).begin(manifest.bytes);
        const into = Buffer.alloc(200);
        for (let index = 0; index < manifest.chunkCount; index++) {
          if (!write.have.has(index)) continue;
          await write.readChunk(index, into);
          const chunk = into.subarray(0, manifest.sizeOf(index));
          assert.ok(chunk.equals(chunkOf(content, manifest, index)));
          assert.ok(manifest.hash(index).equals(createHash("sha256").update(chunk).digest()));
        }
        await write.close();
      },
    ),
    { numRuns: 50 },
  );
  await remove();
});

test.run();
