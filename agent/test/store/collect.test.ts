import { utimes } from "node:fs/promises";
import path from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { type Manifest, digestHex } from "../../src/store/manifest.js";
import type { ArtifactStore } from "../../src/store/types.js";
import { chunkOf, makeArtifact, temporaryDirectory } from "./fixtures.js";

const test = suite<{ dir: string; store: ArtifactStore; remove(): Promise<void> }>(
  "collecting artifacts",
);
test.before.each(async (context) => {
  Object.assign(context, await temporaryDirectory());
  context.store = await openArtifactStore(context.dir);
});
test.after.each((context) => context.remove());

const CHUNKS = [40_000, 30_000];
const nothing = new Set<string>();

async function put(
  { store, dir }: { store: ArtifactStore; dir: string },
  ageMinutes = 0,
): Promise<{ digest: string; content: Buffer; manifest: Manifest }> {
  const { content, manifest } = makeArtifact(CHUNKS);
  await fill(store, content, manifest);
  const used = new Date(Date.now() - ageMinutes * 60_000);
  await utimes(path.join(dir, "artifacts", digestHex(manifest.digest)), used, used);
  return { digest: manifest.digest, content, manifest };
}

async function fill(store: ArtifactStore, content: Buffer, manifest: Manifest): Promise<void> {
  const write = await store.begin(manifest.bytes);
  for (const index of CHUNKS.keys()) await write.put(index, chunkOf(content, manifest, index));
  await write.complete();
  await write.close();
}

test("what is on its way stays, and goes once it is given up", async ({ store }) => {
  const { content, manifest } = makeArtifact(CHUNKS);
  const write = await store.begin(manifest.bytes);
  await write.put(0, chunkOf(content, manifest, 0));
  assert.equal((await store.collect(nothing, { maxBytes: 0 })).removed, []);
  await write.put(1, chunkOf(content, manifest, 1));
  await write.close();
  assert.equal((await store.collect(nothing, { maxBytes: 0 })).removed, [manifest.digest]);
  assert.equal(await store.list(), []);
});

test("what is opened counts as used", async (context) => {
  const old = await put(context, 30);
  const older = await put(context, 40);
  const { store } = context;
  const [first] = await store.list();
  await (await store.open(older.digest))?.close();
  const { removed } = await store.collect(nothing, { maxBytes: first?.diskBytes ?? 0 });
  assert.equal(removed, [old.digest]);
});

test("what to keep is asked at the last moment", async (context) => {
  const { store } = context;
  const oldest = await put(context, 30);
  const newest = await put(context, 10);
  const needed = new Set<string>();
  // While the oldest is removed a goal for the other comes in.
  const keep = {
    has: (digest: string): boolean => {
      if (digest === oldest.digest) needed.add(newest.digest);
      return needed.has(digest);
    },
  };
  assert.equal((await store.collect(keep, { maxBytes: 0 })).removed, [oldest.digest]);
  assert.ok(await store.path(newest.digest));
});

test("whoever opens while it is removed gets all of it, or nothing", async (context) => {
  const { store } = context;
  for (let turn = 0; turn < 30; turn++) {
    const { digest, content } = await put(context);
    const into = Buffer.alloc(content.length);
    const opening = [0, 1, 2].map(async (later) => {
      for (let tick = 0; tick < later * turn; tick++) await Promise.resolve();
      const artifact = await store.open(digest);
      if (artifact === undefined) return;
      await artifact.read(0, content.length, into);
      assert.ok(into.equals(content));
      await artifact.close();
    });
    await Promise.all([store.collect(nothing, { maxBytes: 0 }), ...opening]);
    await store.collect(nothing, { maxBytes: 0 });
    assert.is(await store.open(digest), undefined);
  }
});

test("whoever begins while it is removed begins anew, and can complete it", async (context) => {
  const { store } = context;
  for (let turn = 0; turn < 30; turn++) {
    const { content, manifest } = makeArtifact(CHUNKS);
    const first = await store.begin(manifest.bytes);
    await first.put(0, chunkOf(content, manifest, 0));
    await first.close();
    const [, collected] = await Promise.all([
      fill(store, content, manifest),
      store.collect(nothing, { maxBytes: 0 }),
      store.verify(manifest.digest),
    ]);
    const whole = await store.open(manifest.digest);
    // Collected before it was begun, or after it was complete.
    assert.ok(whole !== undefined || collected.removed.includes(manifest.digest));
    await whole?.close();
    await store.remove(manifest.digest);
  }
});

test.run();
