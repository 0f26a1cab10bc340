import { once } from "node:events";
import net from "node:net";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Manifest } from "../../src/store/manifest.js";
import { digestToBytes } from "../../src/store/manifest.js";
import { ADMISSION_LIMITS } from "../../src/swarm/admission-limits.js";
import { BufferPool } from "../../src/swarm/buffers.js";
import { ChunkSender } from "../../src/swarm/chunk-sender.js";
import { type DataRequestFrame, encodeDataRequest } from "../../src/swarm/data-frames.js";
import { DataServer } from "../../src/swarm/data-server.js";
import { ProtocolError } from "../../src/swarm/frames.js";
import { Giver } from "../../src/swarm/giver.js";
import { Library } from "../../src/swarm/library.js";
import { ResponseReader } from "../../src/swarm/response-reader.js";
import { chunkOf, makeArtifact } from "../store/fixtures.js";
import { log, until } from "./fixtures.js";

const CHUNKS = 64;
const CHUNK_BYTES = 512 * 1024;
const STUCK_MS = 400;

const test = suite<{ bench: Bench }>("hostile downloaders");
test.before.each(async (context) => {
  context.bench = await Bench.start();
});
test.after.each(({ bench }) => bench.close());

for (const [what, say] of Object.entries<(bench: Bench) => (DataRequestFrame | Buffer)[]>({
  "an unknown type": () => [Buffer.from([9])],
  "an unknown priority": ({ request }) => {
    const bytes = encodeDataRequest(request(1, 0));
    bytes[bytes.length - 1] = 3;
    return [bytes];
  },
  "a received for nothing": () => [{ kind: "received", requestId: 1 }],
  "a received before its chunk was sent": ({ request }) => [
    request(1, 0),
    { kind: "received", requestId: 1 },
  ],
  "more cancels than requests": ({ request }) => [
    request(1, 0),
    { kind: "cancel", requestId: 1 },
    { kind: "cancel", requestId: 1 },
  ],
  "a request id that is in use": ({ request }) => [request(1, 0), request(1, 1)],
  "more requests in vain than anybody needs": ({ request }) =>
    Array.from({ length: 40_000 }, (_, at) => request(at, CHUNKS + at)),
  "more requests taken back than anybody needs": ({ request }) =>
    Array.from({ length: 40_000 }, (_, at): DataRequestFrame[] => [
      request(at, 0),
      { kind: "cancel", requestId: at },
    ]).flat(),
})) {
  test(`${what} closes the connection, and disturbs nobody else`, async ({ bench }) => {
    const hostile = await bench.connect("hostile");
    const honest = await bench.connect("honest");
    hostile.socket.write(
      Buffer.concat(say(bench).map((one) => (Buffer.isBuffer(one) ? one : encodeDataRequest(one)))),
    );
    await until(() => hostile.socket.closed, "the end of the connection");
    assert.equal([...bench.blamed], ["hostile"]);
    await honest.fetch(5);
  });
}

test("who never reads is sent little, and let go", async ({ bench }) => {
  const hostile = await bench.connect("hostile");
  const honest = await bench.connect("honest");
  hostile.socket.pause();
  for (let chunk = 0; chunk < CHUNKS; chunk++) hostile.say(bench.request(chunk, chunk));
  await honest.fetch(5);
  const sent = bench.sentBytes;
  assert.ok(sent <= 5 * CHUNK_BYTES, `${sent} bytes left, all but one chunk for nobody`);
  await until(() => bench.blamed.has("hostile"), "the blame");
  hostile.socket.resume();
  await until(() => hostile.socket.closed, "the end of the connection");
  await honest.fetch(6);
});

test("who reads no refusals is let go", async ({ bench }) => {
  const hostile = await bench.connect("hostile");
  hostile.socket.pause();
  hostile.socket.on("error", () => {});
  for (let round = 0; !hostile.socket.destroyed && round < 200; round++) {
    const frames = Array.from({ length: 1_000 }, (_, at) => bench.request(at, CHUNKS + at));
    hostile.socket.write(Buffer.concat(frames.map(encodeDataRequest)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => bench.blamed.has("hostile"), "the blame");
});

test("a third connection of one peer ends its oldest", async ({ bench }) => {
  const [first, second] = [await bench.connect("one"), await bench.connect("one")];
  const other = await bench.connect("other");
  const third = await bench.connect("one");
  await until(() => first.socket.closed, "the end of the oldest");
  for (const link of [second, third, other]) await link.fetch(1);
});

test("a connection that says nothing more costs nothing, and ends with its peer", async ({
  bench,
}) => {
  const silent = await bench.connect("silent");
  const honest = await bench.connect("honest");
  await honest.fetch(1);
  bench.server.drop("silent");
  await until(() => silent.socket.closed, "the end of the connection");
  await honest.fetch(2);
});

test("a peer that is gone before its connection is up gets nothing over it", async ({ bench }) => {
  const honest = await bench.connect("honest");
  bench.gone.add("late");
  const late = await bench.connect("late");
  late.say(bench.request(1, 1));
  await until(() => late.socket.closed, "the end of the connection");
  assert.is(bench.sentBytes, 0);
  await honest.fetch(2);
});

/** A data server on plain TCP with one artifact, and connections to it. */
class Bench {
  readonly server: DataServer;
  readonly #address: { host: string; port: number };
  readonly #sender: ChunkSender;
  readonly #library: Library;
  readonly #sockets: net.Socket[] = [];
  readonly #content: Buffer;
  readonly #manifest: Manifest;
  /** Peers that broke the protocol. */
  readonly blamed = new Set<string>();
  sentBytes = 0;
  /** Peers that are no neighbours any more. */
  readonly gone = new Set<string>();

  static async start(): Promise<Bench> {
    const bench = new Bench(await freePort());
    await bench.server.listen();
    return bench;
  }

  private constructor(port: number) {
    const { content, manifest } = makeArtifact(Array.from({ length: CHUNKS }, () => CHUNK_BYTES));
    this.#content = content;
    this.#manifest = manifest;
    this.#address = { host: "127.0.0.1", port };
    this.#library = new Library({
      open: (digest) => Promise.resolve(digest === manifest.digest ? this.#artifact() : undefined),
    });
    this.#sender = new ChunkSender({
      library: this.#library,
      buffers: new BufferPool(),
      giver: new Giver(),
      maxBytesPerSecond: undefined,
      log,
      onSent: (bytes) => (this.sentBytes += bytes),
    });
    this.server = new DataServer({
      listen: this.#address,
      encryption: "none",
      maxConnections: 16,
      strangers: ADMISSION_LIMITS.data,
      onRefused: () => {},
      sender: this.#sender,
      log,
      serves: (peer) => !this.gone.has(peer),
      onProtocolError: (peer, error) => {
        assert.instance(error, ProtocolError);
        this.blamed.add(peer);
      },
      onClosed: () => {},
      stuckMs: STUCK_MS,
    });
  }

  readonly request = (requestId: number, chunk: number): DataRequestFrame => {
    const artifact = digestToBytes(this.#manifest.digest);
    return { kind: "request", requestId, artifact, chunk, priority: "normal" };
  };

  async connect(peer: string) {
    const offer = this.server.offer(peer);
    assert.ok(offer);
    const socket = net.connect(this.#address);
    socket.on("error", () => {});
    this.#sockets.push(socket);
    await once(socket, "connect");
    socket.write(offer.identity);
    const say = (frame: DataRequestFrame): void => void socket.write(encodeDataRequest(frame));
    /** As an honest downloader does. */
    const fetch = async (chunk: number): Promise<void> => {
      let bytes: Buffer | undefined;
      const reader = new ResponseReader({
        begin: (_requestId, number, size) => {
          assert.is(number, chunk);
          return Buffer.alloc(size);
        },
        chunk: (requestId, whole) => {
          bytes = whole;
          say({ kind: "received", requestId });
        },
        refusal: (_requestId, reason) => assert.unreachable(`refused: ${reason}`),
      });
      const onData = (data: Buffer): void => feed(reader, data);
      socket.on("data", onData);
      say(this.request(chunk, chunk));
      await until(() => bytes !== undefined, `chunk ${chunk}`);
      socket.off("data", onData);
      assert.ok(bytes?.equals(chunkOf(this.#content, this.#manifest, chunk)));
    };
    socket.resume();
    return { socket, say, fetch };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#sender.stop();
    await this.server.close();
    await this.#library.close();
  }

  #artifact() {
    const content = this.#content;
    return {
      manifestBytes: this.#manifest.bytes,
      sizeBytes: content.length,
      read: (offset: number, length: number, into: Buffer) => {
        content.copy(into, 0, offset, offset + length);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    };
  }
}

function feed(reader: ResponseReader, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    const copied = bytes.copy(reader.target(), 0, at);
    reader.advance(copied);
    at += copied;
  }
}

test.run();
