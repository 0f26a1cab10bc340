import { createHash, randomBytes } from "node:crypto";
import { chmod, writeFile } from "node:fs/promises";
import path from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { Bitfield } from "../../src/store/bitfield.js";
import { CopyPlan } from "../../src/store/copy-plan.js";
import { ArtifactBusyError } from "../../src/store/errors.js";
import {
  type Manifest,
  decodeManifest,
  digestHex,
  encodeManifest,
} from "../../src/store/manifest.js";
import type { ArtifactStore } from "../../src/store/types.js";
import { temporaryDirectory } from "./fixtures.js";

const test = suite<{ dir: string; store: ArtifactStore; remove(): Promise<void> }>("local copies");
test.before.each(async (context) => {
  Object.assign(context, await temporaryDirectory());
  context.store = await openArtifactStore(context.dir);
});
test.after.each(async (context) => {
  await context.store.close();
  await context.remove();
});

const named = new Map<string, Buffer>();

/** The same random bytes for the same letter, a megabyte if it is upper case. */
function bytesOf(letter: string): Buffer {
  const bytes = named.get(letter) ?? randomBytes(letter === letter.toLowerCase() ? 100 : 1_000_000);
  named.set(letter, bytes);
  return bytes;
}

const sha256 = (bytes: Buffer): Buffer => createHash("sha256").update(bytes).digest();

function artifact(letters: string): { manifest: Manifest; chunks: Buffer[] } {
  const chunks = letters.split("").map(bytesOf);
  const bytes = encodeManifest({
    chunkSizes: chunks.map((chunk) => chunk.length),
    chunkHashes: Buffer.concat(chunks.map(sha256)),
    contentHash: sha256(Buffer.concat(chunks)),
  });
  return { manifest: decodeManifest(bytes), chunks };
}

/** Puts the artifact into the store; of an incomplete one, only these chunks. */
async function put(store: ArtifactStore, letters: string, only?: readonly number[]) {
  const { manifest, chunks } = artifact(letters);
  const write = await store.begin(manifest.bytes);
  for (const [index, chunk] of chunks.entries()) {
    if (only === undefined || only.includes(index)) await write.put(index, chunk);
  }
  if (only === undefined) await write.complete();
  await write.close();
  return manifest.digest;
}

test("a plan finds each missing chunk once, and what occurs twice", () => {
  const { manifest } = artifact("abcdacxyx");
  const have = new Bitfield(9);
  have.set(3);
  const plan = new CopyPlan(manifest, have);
  assert.equal(
    [...plan.take(artifact("zdcza").manifest, (chunk) => chunk !== 4)],
    [
      [2, 2],
      [5, 2],
    ],
  );
  assert.equal(
    [...plan.take(artifact("caa").manifest, (chunk) => chunk === 2)],
    [
      [0, 2],
      [4, 2],
    ],
  );
  assert.not(plan.complete);
  assert.equal([...plan.twins()], [[6, [8]]]);
  plan.take(artifact("xyb").manifest, () => true);
  assert.ok(plan.complete);
});

for (const [what, large] of Object.entries({ here: "", "on another thread": "MNOPQRSTU" })) {
  test(`chunks come from complete and incomplete artifacts, copied ${what}`, async ({ store }) => {
    const complete = await put(store, `abc${large}`);
    const incomplete = await put(store, "defg", [1, 3]);
    const { manifest, chunks } = artifact(`xaegdxx${large}`);
    const write = await store.begin(manifest.bytes);
    const copies = await write.findCopies(() => assert.unreachable());
    const missing = new Set([0, 4, 5, 6]);
    const all = chunks.map((_, index) => index);
    assert.equal(
      copies.chunks,
      all.filter((index) => !missing.has(index)),
    );
    assert.equal([...copies.twins], [[0, [5, 6]]]);
    for (const digest of [complete, incomplete]) {
      const error = await store.remove(digest).catch((reason: unknown) => reason);
      assert.instance(error, ArtifactBusyError);
    }
    const collected = await store.collect(new Set(), { maxBytes: 0 });
    assert.equal(collected.removed, []);
    for (const chunk of copies.chunks) assert.is(await copies.copy(chunk), true);
    assert.is(await copies.copyTwin(0, 5), false, "which is not here yet");
    for (const index of [0, 4]) assert.ok(await write.put(index, chunks[index] ?? Buffer.alloc(0)));
    for (const twin of [5, 6]) assert.is(await copies.copyTwin(0, twin), true);
    await copies.close();
    await copies.close();
    await write.complete();
    await write.close();
    assert.ok(await store.verify(manifest.digest));
    await store.remove(complete);
    await store.remove(incomplete);
  });
}

test("what the artifact has itself is copied too, when it is taken up again", async ({ store }) => {
  await put(store, "aba", [0]);
  const { manifest } = artifact("aba");
  const write = await store.begin(manifest.bytes);
  const copies = await write.findCopies(() => assert.unreachable());
  assert.equal(copies.chunks, [2]);
  assert.ok(await copies.copy(2));
  await copies.close();
  await write.close();
});

test("a damaged source is told of once, and used no more", async ({ dir, store }) => {
  const source = await put(store, "abcd");
  const file = path.join(dir, "artifacts", digestHex(source), "data");
  await chmod(file, 0o600);
  await writeFile(file, Buffer.concat(["a", "z", "c", "d"].map(bytesOf)));
  const damaged: string[] = [];
  const write = await store.begin(artifact("abcdef").manifest.bytes);
  const copies = await write.findCopies((digest) => damaged.push(digest));
  assert.equal(copies.chunks, [0, 1, 2, 3]);
  const copied = [];
  for (const chunk of copies.chunks) copied.push(await copies.copy(chunk));
  assert.equal(copied, [true, false, false, false]);
  assert.equal(damaged, [source]);
  await copies.close();
  assert.is(write.bytesDone, 100);
  await write.close();
});

test("only the artifacts used last are looked at, and nothing matches without harm", async ({
  store,
}) => {
  for (const letter of "klmnopqrs") await put(store, letter);
  for (const [letters, found] of [
    ["vw", 0],
    ["klmnopqrs", 8],
  ] as const) {
    const write = await store.begin(artifact(letters).manifest.bytes);
    const copies = await write.findCopies(() => assert.unreachable());
    assert.is(copies.chunks.length, found);
    assert.is(copies.twins.size, 0);
    await copies.close();
    await write.close();
    await store.remove(write.digest);
  }
  assert.is((await store.collect(new Set(), { maxBytes: 0 })).removed.length, 9);
});

test.run();
