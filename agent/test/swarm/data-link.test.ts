import { once } from "node:events";
import net from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
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
