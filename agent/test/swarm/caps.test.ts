import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Priority } from "../../src/swarm/index.js";
import { Region, contentOf, fetchAll, seed, until } from "./fixtures.js";

const test = suite<{ region: Region }>("swarm caps");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

const CHUNK_BYTES = 64 * 1024;
const CAP = 4 * 1024 * 1024;
/** What may flow at once when nothing has for a while. */
const BURST_MS = 250;

for (const what of ["maxUploadBytesPerSecond", "maxDownloadBytesPerSecond"] as const) {
  test(`${what} is kept, and used`, async ({ region }) => {
    const up = what === "maxUploadBytesPerSecond";
    const seeder = await region.join("region", up ? { [what]: CAP } : {});
    const { digest, content } = await seed(seeder, 128, CHUNK_BYTES);
    const hosts = await Promise.all(
      (up ? [1, 2] : [1]).map(() => region.join("host", up ? { maxPeers: 1 } : { [what]: CAP })),
    );
    const started = performance.now();
    await Promise.all(hosts.map((host) => fetchAll(host, digest)));
    const ms = performance.now() - started;
    for (const { store } of hosts) assert.ok((await contentOf(store, digest)).equals(content));
    const moved = up ? seeder.swarm.stats.bytesSent : content.length;
    assert.ok(moved >= content.length);
    const least = (moved / CAP) * 1_000;
    assert.ok(ms >= least * 0.95 - BURST_MS, `${moved} bytes in ${ms} ms`);
    assert.ok(ms <= least * 2 + 2_000, `${moved} bytes in ${ms} ms`);
  });
}

test("what is urgent overtakes what is not, also once it becomes so", async ({ region }) => {
  const seeder = await region.join("region", { maxUploadBytesPerSecond: CAP });
  const [large, small, raised] = await Promise.all([
    seed(seeder, 128, CHUNK_BYTES),
    seed(seeder, 8, CHUNK_BYTES),
    seed(seeder, 8, CHUNK_BYTES),
  ]);
  const host = await region.join("host");
  const signal = AbortSignal.timeout(30_000);
  const fetch = async (digest: string, priority: Priority, done: string): Promise<void> => {
    for await (const { bytesDone } of host.swarm.fetch(digest, { ...host, signal, priority })) {
      if (bytesDone > 0) begun.add(digest);
    }
    ended.push(done);
  };
  const begun = new Set<string>();
  const ended: string[] = [];
  const first = [
    fetch(large.digest, "background", "large"),
    fetch(raised.digest, "background", "raised"),
  ];
  await until(() => begun.has(large.digest), "its first bytes");
  await Promise.all([
    ...first,
    fetch(raised.digest, "urgent", "raised"),
    fetch(small.digest, "urgent", "small"),
  ]);
  assert.is(ended.at(-1), "large");
});

test("caps that are no rates are refused", async ({ region }) => {
  for (const cap of [0, -1, NaN]) {
    const joining = region.join("region", { maxDownloadBytesPerSecond: cap });
    assert.match(String(await joining.catch((error: unknown) => error)), "bytes a second");
  }
});

test.run();
