import net from "node:net";
import tls from "node:tls";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { SwarmOptions } from "../../src/swarm/index.js";
import { Region, contentOf, fetchAll, put, seed, until } from "./fixtures.js";

const test = suite<{ region: Region; link: SlowLink }>("swarm slow host");
test.before.each((context) => {
  context.region = new Region();
  context.link = new SlowLink(BYTES_PER_SECOND);
});
test.after.each(async ({ region, link }) => {
  await region.close();
  link.close();
});

const BYTES_PER_SECOND = 128 * 1024;
const CHUNK_BYTES = 256 * 1024;
const NEIGHBOURS = 6;
const PIECE_BYTES = 2 * 1024;

/** One host among some who have everything but are no seeders, and one who is. */
async function fetchSlowly(
  region: Region,
  chunks: number,
  cap: Partial<SwarmOptions>,
  link?: SlowLink,
) {
  const seeder = await region.join("region");
  const { content, manifest, digest } = await seed(seeder, chunks, CHUNK_BYTES);
  const givers = await Promise.all(
    Array.from({ length: NEIGHBOURS - 1 }, () => region.join("host")),
  );
  for (const giver of givers) {
    await put(giver.store, content, manifest);
    giver.swarm.announce(digest);
  }
  await link?.open();
  const host = await region.join("host", cap);
  await until(() => host.swarm.stats.neighbours === NEIGHBOURS, "its neighbours");
  await fetchAll(host, digest, AbortSignal.timeout(60_000));
  assert.ok((await contentOf(host.store, digest)).equals(content));
  return { stats: host.swarm.stats, bytes: content.length };
}

test("a host with a slow link fetches each chunk once", async ({ region, link }) => {
  const { stats, bytes } = await fetchSlowly(region, 8, {}, link);
  assert.is(stats.timeouts, 0);
  assert.is(stats.hedges, 0);
  // The seeder's first two may be such that others bring, too.
  assert.ok(
    link.carriedBytes < bytes + 3 * CHUNK_BYTES,
    `${link.carriedBytes} bytes over its link`,
  );
  assert.is(stats.fallbackChunks, 0);
});

test("a host with a low cap on what it fetches fetches each chunk once", async ({ region }) => {
  const { stats } = await fetchSlowly(region, 4, { maxDownloadBytesPerSecond: BYTES_PER_SECOND });
  assert.is(stats.timeouts, 0);
  assert.is(stats.hedges, 0);
  assert.is(stats.duplicateBytes, 0);
});

/** A link that all data connections dialled from now on share, in the direction to who dials. */
class SlowLink {
  carriedBytes = 0;
  readonly #bytesPerMs: number;
  readonly #connect = tls.connect;
  readonly #closing: (() => void)[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  async open(): Promise<void> {
    const port = await freePort();
    /** Where those who dial want to get, in order. */
    const wanted: number[] = [];
    const server = net.createServer((near) => {
      const far = net.connect({ host: "127.0.0.1", port: wanted.shift() ?? 0 });
      near.pipe(far);
      far.on("data", (data) => {
        far.pause();
        void this.#carry(data, near).then(() => far.resume());
      });
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        one.on("error", () => other.destroy());
        one.on("close", () => other.destroy());
      }
      this.#closing.push(() => near.destroy());
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    this.#closing.push(() => server.close());
    const direct = this.#connect;
    tls.connect = ((options: tls.ConnectionOptions) => {
      wanted.push(options.port ?? 0);
      return direct({ ...options, port });
    }) as typeof tls.connect;
  }

  close(): void {
    tls.connect = this.#connect;
    for (const close of this.#closing) close();
  }

  /** In small pieces, one of each connection in turn. */
  async #carry(data: Buffer, to: net.Socket): Promise<void> {
    for (let at = 0; at < data.length && !to.destroyed; at += PIECE_BYTES) {
      const piece = data.subarray(at, at + PIECE_BYTES);
      this.#turn = this.#turn.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, piece.length / this.#bytesPerMs));
        to.write(piece);
      });
      await this.#turn;
      this.carriedBytes += piece.length;
    }
  }
}

test.run();
