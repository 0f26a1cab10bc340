import { once } from "node:events";
import net from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CHUNK_HEADER_BYTES, writeChunkHeader } from "../../src/swarm/data-frames.js";
import { DataLink } from "../../src/swarm/data-link.js";
import { until } from "./fixtures.js";

/** Longer than a link waits before it says that chunks come another way. */
const LATE_MS = 1_200;

test("a connection that comes late is used once it is there", async () => {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => sockets.push(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const events: string[] = [];
  const link = new DataLink("none", {
    onNeedOffer: () => {
      const offer = { host: "127.0.0.1", port, identity: Buffer.alloc(16), key: Buffer.alloc(0) };
      setTimeout(() => link.accept(offer), LATE_MS);
    },
    onProgress: () => {},
    onUp: () => events.push(`up, ${link.ready(Date.now())}`),
    onDown: () => events.push(`down, ${link.ready(Date.now())}`),
    onUnfinished: () => {},
    begin: () => undefined,
    chunk: () => {},
    refusal: () => {},
  });
  try {
    assert.is(link.ready(Date.now()), "wait");
    await until(() => events.length === 2, "both");
    assert.equal(events, ["down, unreachable", "up, up"]);
    assert.not(link.unreachable);
  } finally {
    link.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

test("what had begun to come gives its buffer back when the link is closed", async () => {
  const framed = Buffer.alloc(CHUNK_HEADER_BYTES + 1_000);
  writeChunkHeader(framed, 7, 3);
  const server = net.createServer((socket) => {
    socket.on("data", () => socket.write(framed.subarray(0, 500)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const lent: Buffer[] = [];
  const given: Buffer[] = [];
  const link = new DataLink("none", {
    onNeedOffer: () => {
      const offer = { host: "127.0.0.1", port, identity: Buffer.alloc(16), key: Buffer.alloc(0) };
      setImmediate(() => link.accept(offer));
    },
    onProgress: () => {},
    onUp: () => {
      const artifact = Buffer.alloc(32);
      link.say({ kind: "request", requestId: 7, artifact, chunk: 3, priority: "normal" });
    },
    onDown: () => {},
    onUnfinished: (buffer) => given.push(buffer),
    begin: (_requestId, _chunk, size) => {
      lent.push(Buffer.alloc(size));
      return lent.at(-1);
    },
    chunk: () => {},
    refusal: () => {},
  });
  try {
    link.ready(Date.now());
    await until(() => lent.length === 1, "the beginning");
    assert.equal(given, []);
    link.close();
    await until(() => given.length === 1, "the buffer");
    assert.is(given[0], lent[0]);
  } finally {
    link.close();
    server.close();
  }
});

for (const [what, host, port] of [
  ["a name", "localhost", 80],
  ["no host", "", 80],
  ["no port", "127.0.0.1", 0],
] as const) {
  test(`an offer of ${what} is not used`, () => {
    const errors: string[] = [];
    const link = new DataLink("none", {
      onNeedOffer: () => {},
      onProgress: () => {},
      onUp: () => {},
      onDown: (error) => errors.push(error.message),
      onUnfinished: () => {},
      begin: () => undefined,
      chunk: () => {},
      refusal: () => {},
    });
    assert.is(link.ready(Date.now()), "wait");
    link.accept({ host, port, identity: Buffer.alloc(16), key: Buffer.alloc(0) });
    assert.equal(errors, ["the peer's offer can't be used"]);
    assert.ok(link.unreachable);
    link.close();
  });
}

test.run();
