import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Leadership } from "../../src/rollout/leadership.js";
import { eventually, openTestDatabase, silent, type TestDatabase } from "../postgres.js";

const test = suite("leadership");
let database: TestDatabase;
let proxy: Proxy;

test.before(async () => {
  database = await openTestDatabase();
  proxy = await startProxy(Number(new URL(database.url).port));
});
test.after(async () => {
  await proxy?.close();
  await database?.close();
});

/** A way to a server that can be made to carry nothing any more, and to say nothing of it. */
interface Proxy {
  port: number;
  freeze(): void;
  close(): Promise<void>;
}

async function startProxy(to: number): Promise<Proxy> {
  const sockets: Socket[] = [];
  let frozen = false;
  const server: Server = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on("data", (data) => void (frozen || into.write(data)));
      from.on("error", () => undefined);
      from.on("close", () => void (frozen || into.destroy()));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    freeze: () => void (frozen = true),
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function candidate(url: string): { leadership: Leadership; terms: AbortSignal[] } {
  const terms: AbortSignal[] = [];
  const lead = async (signal: AbortSignal): Promise<void> => {
    terms.push(signal);
    if (!signal.aborted) await once(signal, "abort");
  };
  return { leadership: new Leadership({ url, log: silent, lead, silentMs: 4_000 }), terms };
}

test("a leader of whom nothing is heard any more leads no more, and another does", async () => {
  const far = new URL(database.url);
  far.port = String(proxy.port);
  const first = candidate(far.href);
  const second = candidate(database.url);
  try {
    first.leadership.start();
    await eventually(() => first.terms.length > 0 || undefined, 10_000);
    second.leadership.start();
    proxy.freeze();
    await eventually(() => second.terms.length > 0 || undefined, 30_000);
    assert.not(second.terms[0]?.aborted);
    // It cannot be told; it finds out by itself that nobody answers.
    await eventually(() => first.terms[0]?.aborted || undefined, 30_000);
    assert.is(first.terms.length, 1);
  } finally {
    await Promise.all([first.leadership.stop(), second.leadership.stop()]);
  }
  assert.ok(second.terms[0]?.aborted, "who stops leads no more");
});

test.run();
