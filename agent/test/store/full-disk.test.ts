import { rm } from "node:fs/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { StoreFullError } from "../../src/store/errors.js";
import type { ArtifactStore } from "../../src/store/types.js";
import { Region, contentOf, fetchAll, seed } from "../swarm/fixtures.js";
import { chunkOf, makeArtifact, temporaryDirectory } from "./fixtures.js";
import { type SmallDisk, fillUp, mountSmallDisk } from "./small-disk.js";

const MIB = 1024 * 1024;
const test = suite<{ dir: string; remove(): Promise<void> }>("a full disk");
test.before.each(async (context) => {
  Object.assign(context, await temporaryDirectory());
});
test.after.each((context) => context.remove());

const chunks = (count: number): number[] => Array.from({ length: count }, () => MIB);

async function onDisk(
  { dir }: { dir: string },
  bytes: number,
  use: (disk: SmallDisk) => Promise<void>,
): Promise<void> {
  const disk = await mountSmallDisk(dir, bytes);
  if (disk === undefined) {
    console.log("nothing can be mounted here: see the test with a bound for files");
    return;
  }
  try {
    await use(disk);
  } finally {
    await disk.unmount();
  }
}

async function put(store: ArtifactStore, count: number): Promise<string> {
  const { content, manifest } = makeArtifact(chunks(count));
  const write = await store.begin(manifest.bytes);
  for (let index = 0; index < count; index++) {
    assert.ok(await write.put(index, chunkOf(content, manifest, index)));
  }
  await write.complete();
  await write.close();
  return manifest.digest;
}

for (const [what, count] of Object.entries({ "on this thread": 8, "on the store's thread": 12 })) {
  test(`an artifact that does not fit goes on once there is room, written ${what}`, (context) =>
    onDisk(context, (count - 2) * MIB, async (disk) => {
      const store = await openArtifactStore(disk.dir);
      const old = await put(store, 3);
      const { content, manifest } = makeArtifact(chunks(count));
      const write = await store.begin(manifest.bytes);
      const results = await Promise.allSettled(
        chunks(count).map((_, index) => write.put(index, chunkOf(content, manifest, index))),
      );
      const failed = results.flatMap((result) => (result.status === "rejected" ? result : []));
      assert.ok(failed.length > 0 && failed.length < count);
      for (const { reason } of failed) assert.instance(reason, StoreFullError);
      const done = write.bytesDone;
      assert.is(done, (count - failed.length) * MIB);
      await write.close().catch((error: unknown) => assert.instance(error, StoreFullError));
      assert.ok(await store.verify(old), "others are as they were");
      assert.is((await store.list()).length, 2);
      await store.remove(old);
      await disk.resize((count + 2) * MIB);
      const again = await store.begin(manifest.bytes);
      assert.is(again.bytesDone, done);
      for (let index = 0; index < count; index++) {
        if (again.have.has(index)) continue;
        assert.ok(await again.put(index, chunkOf(content, manifest, index)));
      }
      await again.complete();
      await again.close();
      assert.ok(await store.verify(manifest.digest));
      await store.close();
    }));
}

test("with not a byte left, nothing is begun, and nothing that is there is lost", (context) =>
  onDisk(context, 4 * MIB, async (disk) => {
    const store = await openArtifactStore(disk.dir);
    const { content, manifest } = makeArtifact([1_000, 1_000, 1_000]);
    const write = await store.begin(manifest.bytes);
    await write.put(0, chunkOf(content, manifest, 0));
    const filler = await fillUp(disk);
    const other = makeArtifact([1_000]);
    const refused = await store.begin(other.manifest.bytes).catch((error: unknown) => error);
    assert.instance(refused, StoreFullError);
    await write.close().catch((error: unknown) => assert.instance(error, StoreFullError));
    await rm(filler);
    await (await store.begin(other.manifest.bytes)).close();
    const again = await store.begin(manifest.bytes);
    assert.is(again.bytesDone, 1_000);
    for (const index of [1, 2]) await again.put(index, chunkOf(content, manifest, index));
    await again.complete();
    await again.close();
    assert.ok(await store.verify(manifest.digest));
  }));

test("a download goes on where the disk was full, in the same process", (context) =>
  onDisk(context, 6 * MIB, async (disk) => {
    const region = new Region();
    try {
      const seeder = await region.join("region");
      const { digest, content } = await seed(seeder, 10, MIB);
      const host = await region.join("host", { dir: disk.dir });
      const full = await fetchAll(host, digest).catch((error: unknown) => error);
      assert.instance(full, StoreFullError);
      await disk.resize(12 * MIB);
      const { last } = await fetchAll(host, digest);
      assert.ok(last.fromLocal > 0);
      assert.is(last.fromLocal + last.fromSeeders, content.length);
      assert.ok((await contentOf(host.store, digest)).equals(content));
    } finally {
      await region.close();
    }
  }));

test.run();
