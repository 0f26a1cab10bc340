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

interface Candidate {
  leadership: Leadership;
  terms: AbortSignal[];
  /** Why it can sign nothing. */
  fault: string | undefined;
  /** How often it was asked that. */
  asked: number;
}

function candidate(url: string, fault?: string): Candidate {
  const terms: AbortSignal[] = [];
  const lead = async (signal: AbortSignal): Promise<void> => {
    terms.push(signal);
    if (!signal.aborted) await once(signal, "abort");
  };
  const signFault = (): string | undefined => {
    made.asked += 1;
    return made.fault;
  };
  const leadership = new Leadership({ url, log: silent, lead, silentMs: 4_000, signFault });
  const made: Candidate = { leadership, terms, fault, asked: 0 };
  return made;
}

const leads = ({ terms }: Candidate): boolean => terms.at(-1)?.aborted === false;

/** Until each has thought at least once more about leading. */
async function ponder(...candidates: Candidate[]): Promise<void> {
  const enough = candidates.map(({ asked }) => asked + 2);
  const is = (): boolean => candidates.every(({ asked }, index) => asked >= (enough[index] ?? 0));
  await eventually(() => is() || undefined, 30_000);
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

test("who can sign nothing leads only while nobody can, and nothing goes to and fro", async () => {
  const first = candidate(database.url, "its key was dropped");
  const second = candidate(database.url, "its key was dropped");
  const third = candidate(database.url, "its key was dropped");
  try {
    first.leadership.start();
    await eventually(() => leads(first) || undefined, 10_000);
    second.leadership.start();
    third.leadership.start();
    await ponder(first, second, third);
    assert.equal([first, second, third].map(leads), [true, false, false]);
    second.fault = undefined;
    await eventually(() => leads(second) || undefined, 20_000);
    assert.not(leads(first), "it has given it up");
    await ponder(first, second, third);
    assert.equal([first, second, third].map(leads), [false, true, false]);
    // Another one that can does not take it from who leads.
    first.fault = undefined;
    await ponder(first, second, third);
    assert.equal([first, second, third].map(leads), [false, true, false]);
    second.fault = "its key has ended";
    await eventually(() => leads(first) || undefined, 20_000);
    first.fault = "its key has ended";
    await ponder(first, second, third);
    assert.equal([first, second, third].map(leads), [true, false, false]);
    assert.equal(
      [first, second, third].map(({ terms }) => terms.length),
      [2, 1, 0],
    );
  } finally {
    await Promise.all([first, second, third].map(({ leadership }) => leadership.stop()));
  }
});

test("who is gone, having been able to sign, keeps nobody from leading", async () => {
  const able = candidate(database.url);
  const other = candidate(database.url, "its key was dropped");
  try {
    able.leadership.start();
    await eventually(() => leads(able) || undefined, 10_000);
    other.leadership.start();
    await ponder(other);
    assert.is(other.terms.length, 0);
    await able.leadership.stop();
    await eventually(() => leads(other) || undefined, 20_000);
  } finally {
    await Promise.all([able, other].map(({ leadership }) => leadership.stop()));
  }
});

test.run();
