import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Region, contentOf, fetchAll, seed } from "./fixtures.js";

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

test("caps that are no rates are refused", async ({ region }) => {
  for (const cap of [0, -1, NaN]) {
    const joining = region.join("region", { maxDownloadBytesPerSecond: cap });
    assert.match(String(await joining.catch((error: unknown) => error)), "bytes a second");
  }
});

test.run();
