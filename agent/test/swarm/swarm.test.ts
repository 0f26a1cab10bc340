import { randomBytes } from "node:crypto";
import { chmod, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { chunkFile } from "../../src/store/chunker.js";
import { StoreFullError } from "../../src/store/errors.js";
import { decodeManifest } from "../../src/store/manifest.js";
import type { ArtifactStore } from "../../src/store/types.js";
import { makeArtifact } from "../store/fixtures.js";
import { Region, contentOf, fetchAll, put, seed, until } from "./fixtures.js";

const test = suite<{ region: Region }>("swarm");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

test("a seeder and four hosts: all get the right bytes, some from each other", async ({
  region,
}) => {
  const seeder = await region.join("region");
  const { digest, content } = await seed(seeder, 32, 1024 * 1024);
  const hosts = await Promise.all([1, 2, 3, 4].map(() => region.join("host")));
  const results = await Promise.all(
    hosts.map(async (host) => ({ host, ...(await fetchAll(host, digest)) })),
  );
  for (const { host, last } of results) {
    assert.ok((await contentOf(host.store, digest)).equals(content));
    assert.is(last.bytesDone, content.length);
    assert.is(last.total, content.length);
    assert.is(last.fromPeers + last.fromSeeders + last.fromLocal, content.length);
    const { verifyFailures, protocolErrors } = host.swarm.stats;
    assert.equal({ verifyFailures, protocolErrors }, { verifyFailures: 0, protocolErrors: 0 });
  }
  const fromPeers = results.reduce((sum, { last }) => sum + last.fromPeers, 0);
  assert.ok(fromPeers > content.length, `${fromPeers} bytes from peers`);
  const { last } = await fetchAll(results[0]?.host ?? seeder, digest);
  assert.is(last.fromLocal, content.length, "fetched again, it is here");
});

test("a copy that was cut, or whose manifest was damaged, is removed and fetched again", async ({
  region,
}) => {
  const seeder = await region.join("region");
  const { digest, content } = await seed(seeder, 3);
  const host = await region.join("host");
  await fetchAll(host, digest);
  const file = (await host.store.path(digest)) ?? "";
  const damages = [
    async () => {
      await chmod(file, 0o644);
      await truncate(file, 1_000);
    },
    () => writeFile(path.join(path.dirname(file), "manifest"), "not a manifest"),
  ];
  for (const damage of damages) {
    await damage();
    const { last } = await fetchAll(host, digest);
    assert.is(last.fromSeeders, content.length);
    assert.ok((await contentOf(host.store, digest)).equals(content));
  }
});

test("on plain TCP, several artifacts at once", async ({ region }) => {
  const seeder = await region.join("region", { encryption: "none" });
  const artifacts = await Promise.all([seed(seeder, 5), seed(seeder, 9), seed(seeder, 1)]);
  const host = await region.join("host", { encryption: "none" });
  await Promise.all(
    artifacts.map(async ({ digest, content }) => {
      await fetchAll(host, digest);
      assert.ok((await contentOf(host.store, digest)).equals(content));
    }),
  );
  assert.is(host.swarm.stats.fallbackChunks, 0);
});

test("over the control stream where no data connection can be made", async ({ region }) => {
  // A peer that insists on encryption takes no offer of plain TCP.
  const seeder = await region.join("region", { encryption: "none" });
  const { digest, content } = await seed(seeder, 6, 300_001);
  const host = await region.join("host");
  await fetchAll(host, digest);
  assert.ok((await contentOf(host.store, digest)).equals(content));
  assert.is(host.swarm.stats.fallbackChunks, 6);
});

test("a peer that sends wrong bytes is banned, and told", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest, content, manifest } = await seed(seeder, 40);
  const liar = await region.join("host", {
    tamper: (into) => {
      into[0] = (into[0] ?? 0) ^ 1;
    },
  });
  await put(liar.store, content, manifest);
  const host = await region.join("host");
  await until(() => host.swarm.stats.neighbours === 2, "neighbours");
  const { last } = await fetchAll(host, digest);
  assert.ok((await contentOf(host.store, digest)).equals(content));
  assert.is(last.fromPeers, 0);
  assert.ok(host.swarm.stats.verifyFailures > 0);
  assert.is(host.swarm.stats.bans, 1);
  // The liar checked its copy, and shares it no more.
  const other = await region.join("host");
  await until(() => other.swarm.stats.neighbours >= 2, "neighbours");
  await fetchAll(other, digest);
  assert.is(other.swarm.stats.verifyFailures, 0);
});

test("a peer that never answers delays nobody for long", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest, content, manifest } = await seed(seeder, 40);
  const staller = await region.join("host", { tamper: () => new Promise(() => {}) });
  await put(staller.store, content, manifest);
  const host = await region.join("host");
  await until(() => host.swarm.stats.neighbours === 2, "neighbours");
  const started = Date.now();
  await fetchAll(host, digest);
  assert.ok((await contentOf(host.store, digest)).equals(content));
  assert.ok(Date.now() - started < 12_000, `${Date.now() - started} ms`);
});

test("without the seeder, from who has it", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest, content } = await seed(seeder, 12);
  const [first, second] = await Promise.all([region.join("host"), region.join("host")]);
  await fetchAll(first, digest);
  await until(() => second.swarm.stats.neighbours === 2, "neighbours");
  await seeder.swarm.close();
  const { last } = await fetchAll(second, digest);
  assert.ok((await contentOf(second.store, digest)).equals(content));
  assert.is(last.fromPeers, content.length);
});

test("waits for somebody who has it; two fetches share the work", async ({ region }) => {
  const seeder = await region.join("region");
  const host = await region.join("host");
  const { content, manifest } = makeArtifact([100_000, 5, 100_000]);
  const both = Promise.all([fetchAll(host, manifest.digest), fetchAll(host, manifest.digest)]);
  await until(() => host.swarm.stats.neighbours === 1, "neighbours");
  await delay(50);
  await put(seeder.store, content, manifest);
  seeder.swarm.announce(manifest.digest);
  for (const { last } of await both) assert.is(last.bytesDone, content.length);
  assert.is(host.swarm.stats.bytesFromSeeders, content.length);
});

test("a fetch ends by its signal, and goes on later with what is there", async ({ region }) => {
  const seeder = await region.join("region", { tamper: () => delay(20) });
  const { digest, content } = await seed(seeder, 60, 64 * 1024);
  const host = await region.join("host");
  const stop = new AbortController();
  const error = await (async () => {
    for await (const { bytesDone } of host.swarm.fetch(digest, { ...host, signal: stop.signal })) {
      if (bytesDone > 0) stop.abort();
    }
  })().catch((reason: unknown) => reason);
  assert.is((error as Error).name, "AbortError");
  const { last, all } = await fetchAll(host, digest);
  assert.ok(last.fromLocal > 0);
  assert.is(last.fromLocal + last.fromSeeders, content.length);
  assert.ok(all.every(({ bytesDone }, index) => bytesDone >= (all[index - 1]?.bytesDone ?? 0)));
});

test("a full store fails the fetch with its type", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest } = await seed(seeder, 4);
  const host = await region.join("host");
  const { store } = host;
  const full: ArtifactStore = {
    open: (wanted) => store.open(wanted),
    path: (wanted) => store.path(wanted),
    verify: (wanted) => store.verify(wanted),
    readManifest: (wanted) => store.readManifest(wanted),
    list: () => store.list(),
    remove: (wanted) => store.remove(wanted),
    collect: (keep, limits) => store.collect(keep, limits),
    close: () => store.close(),
    begin: async (bytes) => {
      const write = await store.begin(bytes);
      return {
        digest,
        manifest: write.manifest,
        have: write.have,
        bytesDone: write.bytesDone,
        readChunk: (index, into) => write.readChunk(index, into),
        findCopies: (onDamaged) => write.findCopies(onDamaged),
        put: () => Promise.reject(new StoreFullError("no room")),
        complete: () => write.complete(),
        close: () => write.close(),
      };
    },
  };
  const error = await fetchAll({ swarm: host.swarm, store: full }, digest).catch((e: unknown) => e);
  assert.instance(error, StoreFullError);
  assert.is((await fetchAll(host, digest)).last.bytesDone, 4 * 256 * 1024, "and later it works");
});

for (const damaged of [false, true]) {
  test(`a new build moves only what changed${damaged ? ", and what was damaged" : ""}`, async ({
    region,
  }) => {
    const chunkBytes = 256 * 1024;
    const seeder = await region.join("region");
    const told: string[] = [];
    const host = await region.join("host", { onDamaged: (digest) => told.push(digest) });
    const before = await seed(seeder, 40, chunkBytes);
    await fetchAll(host, before.digest);
    // One chunk in front is new, and comes again at the end.
    const added = randomBytes(chunkBytes);
    const content = Buffer.concat([added, before.content, added]);
    const file = path.join(host.dir, "next");
    await writeFile(file, content);
    const next = decodeManifest(await chunkFile(file, { chunkBytes }));
    await put(seeder.store, content, next);
    seeder.swarm.announce(next.digest);
    if (damaged) {
      const data = (await host.store.path(before.digest)) ?? "";
      await chmod(data, 0o600);
      await writeFile(data, Buffer.alloc(before.content.length));
    }
    const { last } = await fetchAll(host, next.digest);
    assert.ok((await contentOf(host.store, next.digest)).equals(content));
    assert.is(last.fromSeeders + last.fromReuse, content.length);
    assert.is(last.fromReuse, (damaged ? 1 : 41) * chunkBytes);
    assert.is(host.swarm.stats.bytesFromReuse, last.fromReuse);
    assert.equal(told, damaged ? [before.digest] : []);
  });
}

test("close ends fetches, within bounded time, and may come twice", async ({ region }) => {
  await region.join("region");
  const host = await region.join("host");
  const { manifest } = makeArtifact([10]);
  const fetching = fetchAll(host, manifest.digest).catch((reason: unknown) => reason);
  await until(() => host.swarm.stats.neighbours === 1, "neighbours");
  const started = Date.now();
  await Promise.all([host.swarm.close(), host.swarm.close()]);
  assert.ok(Date.now() - started < 3_000);
  assert.match(String(await fetching), "closed");
  const late = await fetchAll(host, manifest.digest).catch((reason: unknown) => reason);
  assert.match(String(late), "closed");
});

test("members of other cells are no neighbours until the cell is joined", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest } = await seed(seeder, 2);
  const host = await region.join("host", { cell: "c2" });
  const neighbour = await region.join("host");
  await until(() => neighbour.swarm.stats.neighbours === 1, "the seeder of one's own cell");
  assert.is(host.swarm.stats.neighbours, 0);
  seeder.swarm.joinCell("c2");
  seeder.swarm.joinCell("c2");
  await fetchAll(host, digest);
  assert.is(host.swarm.stats.neighbours, 1);
});

test.run();
