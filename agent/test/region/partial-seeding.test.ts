import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  copyArtifact,
  openDirectoryBlobStore,
  putFile,
  type BlobStore,
} from "../../src/blob/index.js";
import { blobSource } from "../../src/region/blob-source.js";
import type { FetchProgress } from "../../src/swarm/index.js";
import { makeArtifact, temporaryDirectory } from "../store/fixtures.js";
import { contentOf, fetchAll, Region, until, type Member } from "../swarm/fixtures.js";

const CHUNK_BYTES = 256 * 1024;
/** More than one range of a copy, which is 8 MiB. */
const CHUNKS = 40;

const test = suite<{ region: Region; dir: string; remove: () => Promise<void> }>(
  "seeding while replicating",
);
test.before.each(async (context) => {
  Object.assign(context, { region: new Region() }, await temporaryDirectory());
});
test.after.each(async ({ region, remove }) => {
  await region.close();
  await remove();
});

/** A main store with an artifact, of which only the first range can be read until it is opened. */
async function gatedStore(dir: string): Promise<{
  main: BlobStore;
  digest: string;
  content: Buffer;
  open: () => void;
}> {
  const { content, manifest } = makeArtifact(Array.from({ length: CHUNKS }, () => CHUNK_BYTES));
  const file = path.join(dir, "artifact");
  await writeFile(file, content);
  const store = await openDirectoryBlobStore(path.join(dir, "main"));
  await putFile(store, file, manifest.bytes);
  const gate = new AbortController();
  const gated = {
    readManifest: (digest: string) => store.readManifest(digest),
    async *read(digest, offset, length, options) {
      if (offset > 0 && !gate.signal.aborted) await once(gate.signal, "abort");
      yield* store.read(digest, offset, length, options);
    },
  } satisfies Partial<BlobStore> as Partial<BlobStore> as BlobStore;
  return { main: gated, digest: manifest.digest, content, open: () => gate.abort() };
}

/** Fetches, telling how far it is. */
function fetching(host: Member, digest: string): { done: Promise<void>; bytes: () => number } {
  let last: FetchProgress | undefined;
  const run = async (): Promise<void> => {
    const signal = AbortSignal.timeout(30_000);
    for await (const progress of host.swarm.fetch(digest, { store: host.store, signal })) {
      last = progress;
    }
  };
  return { done: run(), bytes: () => last?.bytesDone ?? 0 };
}

test("hosts get chunks as they come into the region's store", async ({ region, dir }) => {
  const { main, digest, content, open } = await gatedStore(dir);
  const regional = await openDirectoryBlobStore(path.join(dir, "regional"));
  const seeder = await region.join("region", { source: blobSource(regional) });
  const host = await region.join("host");
  const fetch = fetching(host, digest);
  const copied = copyArtifact(main, regional, digest, {
    follow: (write) => seeder.swarm.share(write),
  });
  const first = 8 * 1024 * 1024;
  await until(() => fetch.bytes() === first, "all that the region has to be on the host");
  assert.is(await regional.stat(digest), undefined, "not whole in the region");
  open();
  await copied;
  await fetch.done;
  assert.ok((await contentOf(host.store, digest)).equals(content));
  assert.is(host.swarm.stats.verifyFailures, 0);
  const later = await region.join("host");
  await fetchAll(later, digest);
  assert.ok((await contentOf(later.store, digest)).equals(content));
});

test("a copy that ends early is shared no more, and the next one goes on", async ({
  region,
  dir,
}) => {
  const { main, digest, content, open } = await gatedStore(dir);
  const regional = await openDirectoryBlobStore(path.join(dir, "regional"));
  const seeder = await region.join("region", { source: blobSource(regional) });
  const host = await region.join("host");
  const fetch = fetching(host, digest);
  const ending = new AbortController();
  const follow = seeder.swarm.share.bind(seeder.swarm);
  const copied = copyArtifact(main, regional, digest, { follow, signal: ending.signal });
  await until(() => fetch.bytes() > 0, "something to be on the host");
  ending.abort(new Error("cut off"));
  open();
  await copied.then(
    () => assert.unreachable("the copy was cut off"),
    (error: Error) => assert.is(error.message, "cut off"),
  );
  await copyArtifact(main, regional, digest, { follow });
  await fetch.done;
  assert.ok((await contentOf(host.store, digest)).equals(content));
});

test.run();
