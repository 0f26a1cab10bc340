import { createHash } from "node:crypto";
import { appendFile, writeFile } from "node:fs/promises";
import path from "node:path";
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { chunkFile } from "../../src/store/chunker.js";
import { Cutter, cutSizesFor } from "../../src/store/cutter.js";
import { type Manifest, artifactDigest, decodeManifest } from "../../src/store/manifest.js";
import { temporaryDirectory } from "./fixtures.js";

const MIB = 1024 * 1024;
const test = suite<{ file: string; remove(): Promise<void> }>("chunker");
test.before.each(async (context) => {
  const { dir, remove } = await temporaryDirectory();
  Object.assign(context, { file: path.join(dir, "file"), remove });
});
test.after.each((context) => context.remove());

/** The same bytes each time, without any pattern. */
function noise(bytes: number, seed = ""): Buffer {
  const parts = Array.from({ length: Math.ceil(bytes / 32) }, (_, index) =>
    createHash("sha256").update(`${seed}${index}`).digest(),
  );
  return Buffer.concat(parts).subarray(0, bytes);
}

const CUT_SIZES = cutSizesFor(4 * 1024 * MIB);

/** Where chunks end when the content comes in blocks of these sizes, the last repeated. */
function ends(content: Uint8Array, sizes = CUT_SIZES, blocks = [content.length]): number[] {
  const cutter = new Cutter(sizes);
  const found: number[] = [];
  for (let at = 0, turn = 0; at < content.length; turn++) {
    const block = content.subarray(at, at + (blocks[turn] ?? blocks.at(-1) ?? 1));
    for (let from = 0; from < block.length;) {
      const end = cutter.cut(block, from);
      if (end !== undefined) found.push(at + end);
      from = end ?? block.length;
    }
    at += block.length;
  }
  return found;
}

const content = noise(24 * MIB);

test("the same content is cut the same for ever", async ({ file }) => {
  await writeFile(file, content);
  const manifest = await chunkFile(file);
  assert.is(
    artifactDigest(manifest),
    "sha256:89e1c347a9907cce6cdf260f81d6dacda32e2272a6bf51a3f49ef4b388fa1c81",
  );
  assert.ok(manifest.equals(await chunkFile(file)));
});

test("the larger an artifact the larger its chunks, within bounds", () => {
  const averages = [1, 128 * MIB, 128 * MIB + 1, 512 * MIB, 512 * MIB + 1, 10_240 * MIB].map(
    (bytes) => cutSizesFor(bytes).normal / 1024,
  );
  assert.equal(averages, [256, 256, 512, 512, 1024, 1024]);
});

test("chunks keep their bounds, and have about their normal size", async ({ file }) => {
  await writeFile(file, content);
  const manifest = decodeManifest(await chunkFile(file));
  const sizes = sizesOf(manifest);
  const { min, normal, max } = cutSizesFor(content.length);
  assert.ok(sizes.slice(0, -1).every((size) => size >= min && size <= max));
  const average = manifest.sizeBytes / manifest.chunkCount;
  assert.ok(average > 0.7 * normal && average < 1.4 * normal, `${average}`);
  for (let index = 0; index < manifest.chunkCount; index++) {
    const offset = manifest.offset(index);
    assert.ok(manifest.verify(index, content.subarray(offset, offset + manifest.sizeOf(index))));
  }
  assert.ok(manifest.contentHash.equals(createHash("sha256").update(content).digest()));
});

test("what never changes is cut at the longest", () => {
  assert.equal(ends(Buffer.alloc(5 * MIB)), [2 * MIB, 4 * MIB]);
});

test("an insertion, a deletion or a change moves only the ends near it", async ({ file }) => {
  await writeFile(file, content);
  const before = hashesOf(decodeManifest(await chunkFile(file)));
  for (const [at, removed, added] of [
    [10 * MIB + 17, 0, 1],
    [10 * MIB + 17, 1, 0],
    [3, 0, 100_000],
    [20 * MIB, 5, 5],
  ] as const) {
    await writeFile(file, content.subarray(0, at));
    await appendFile(file, noise(added, "other"));
    await appendFile(file, content.subarray(at + removed));
    const changed = decodeManifest(await chunkFile(file));
    const kept = hashesOf(changed).filter((hash) => before.includes(hash));
    assert.ok(kept.length >= before.length - 6, `${kept.length} of ${before.length} kept`);
  }
});

test("it does not matter in which pieces the content comes", () => {
  const sizes = { min: 200, normal: 400, max: 900 };
  const bytes = fc.uint8Array({ maxLength: 5_000, size: "max" });
  const blocks = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 });
  fc.assert(
    fc.property(bytes, blocks, (random, pieces) => {
      const whole = ends(random, sizes);
      assert.equal(ends(random, sizes, pieces), whole);
      const lengths = whole.map((end, index) => end - (whole[index - 1] ?? 0));
      assert.ok(lengths.every((length) => length >= sizes.min && length <= sizes.max));
    }),
  );
  assert.equal(ends(content, CUT_SIZES, [1000, MIB, 77_777]), ends(content));
});

function sizesOf(manifest: Manifest): number[] {
  return Array.from({ length: manifest.chunkCount }, (_, index) => manifest.sizeOf(index));
}

function hashesOf(manifest: Manifest): string[] {
  return sizesOf(manifest).map((_, index) => manifest.hash(index).toString("hex"));
}

test.run();
