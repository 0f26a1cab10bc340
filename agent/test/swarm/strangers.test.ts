import { once } from "node:events";
import { createRequire } from "node:module";
import net from "node:net";
import type { Duplex } from "node:stream";
import tls from "node:tls";
import { freePort } from "@slipway/examples/servers";
import type { MembershipCertificate } from "@slipway/proto";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ADMISSION_LIMITS } from "../../src/swarm/admission-limits.js";
import { PSK_TLS } from "../../src/swarm/data-server.js";
import { type Control, ControlDecoder, encodeControl } from "../../src/swarm/frames.js";
import { createIdentity } from "../../src/swarm/identity.js";
import type { Identity } from "../../src/swarm/index.js";
import { PrivateDht } from "../../src/swarm/private-dht.js";
import type { RefusalReason } from "../../src/swarm/refusals.js";
import { type Member, Region, fetchAll, seed, until } from "./fixtures.js";
import { helloOf, rawClient } from "./raw-client.js";

const test = suite<{ region: Region }>("strangers");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

const HOUR_MS = 3_600_000;
const member = (region: Region, change: Partial<Parameters<typeof createIdentity>[0]> = {}) =>
  createIdentity({
    id: "hostile",
    region: "eu",
    role: "host",
    membershipKey: region.membership.privateKey,
    expireTime: new Date(Date.now() + HOUR_MS),
    ...change,
  }) as Identity;

/** A hello in which some of the certificate is changed. */
function helloWith(identity: Identity, change: Partial<MembershipCertificate> | undefined): Buffer {
  const decoder = new ControlDecoder();
  const [hello] = decoder.push(helloOf(identity));
  assert.is(hello?.$case, "hello");
  if (hello?.$case !== "hello") throw new Error("no hello");
  const { certificate } = hello.value;
  hello.value.certificate =
    change === undefined || certificate === undefined ? undefined : { ...certificate, ...change };
  return encodeControl(hello);
}

interface Case {
  reason: RefusalReason;
  hello: (region: Region, own: Identity) => Buffer;
  own?: (region: Region) => Identity;
}
const otherFleet = new Region();
const CASES: Record<string, Case> = {
  "no certificate": { reason: "no_certificate", hello: (_, own) => helloWith(own, undefined) },
  "garbage for a certificate": {
    reason: "not_signed",
    hello: (_, own) => helloWith(own, { payload: Buffer.alloc(100, 7) }),
  },
  "a certificate without a signature": {
    reason: "not_signed",
    hello: (_, own) => helloWith(own, { signature: Buffer.alloc(0) }),
  },
  "another fleet's certificate": {
    reason: "not_signed",
    own: () => member(otherFleet),
    hello: (_, own) => helloOf(own),
  },
  "a certificate that has expired": {
    reason: "expired",
    own: (region) => member(region, { expireTime: new Date(Date.now() - 1) }),
    hello: (_, own) => helloOf(own),
  },
  "another region's certificate": {
    reason: "other_region",
    own: (region) => member(region, { region: "us" }),
    hello: (_, own) => helloOf(own),
  },
  "a builder's certificate": {
    reason: "other_region",
    own: (region) => member(region, { role: "builder" as "host", region: "" }),
    hello: (_, own) => helloOf(own),
  },
  "somebody else's certificate": {
    reason: "other_key",
    hello: (region) => helloOf(region.identity("victim", "host")),
  },
  "a revoked certificate": {
    reason: "revoked",
    own: (region) => member(region, { id: "revoked" }),
    hello: (_, own) => helloOf(own),
  },
  "another message than a hello": {
    reason: "no_hello",
    hello: () => encodeControl({ $case: "dataRequest", value: {} }),
  },
  "bytes that are no message": { reason: "no_hello", hello: () => Buffer.alloc(200, 0xff) },
};

for (const [what, { reason, own, hello }] of Object.entries(CASES)) {
  test(`who shows ${what} is told nothing, and counted`, async ({ region }) => {
    const seeder = await region.join("region", { revoked: new Set(["revoked"]) });
    const { digest } = await seed(seeder, 2);
    const identity = own?.(region) ?? member(region);
    const client = await rawClient(region, identity, region.seederKey, false);
    try {
      const stream = await client.connection();
      let told = 0;
      stream.on("data", (data: Buffer) => (told += data.length));
      stream.write(hello(region, identity));
      await until(() => seeder.swarm.stats.refused[reason] > 0, "the refusal");
      await until(() => stream.destroyed, "the end of the connection");
      assert.is(told, 0, "not even a hello");
      assert.is(seeder.swarm.stats.neighbours, 0);
      await until(() => seeder.swarm.stats.strangers === 0, "the room to be empty");
    } finally {
      await client.close();
    }
    await fetchAll(await region.join("host"), digest);
  });
}

test("a crowd that never says hello keeps nobody out, and leaves", async ({ region }) => {
  const room = { each: 6, all: 8 };
  const greetings = { ...ADMISSION_LIMITS.greetings, room };
  const seeder = await region.join("region", { admission: { greetings } });
  const { digest } = await seed(seeder, 2);
  const { stats } = seeder.swarm;
  const crowd = await Crowd.start(seeder);
  try {
    for (let round = 1; round <= 10; round++) {
      crowd.dial(5, seeder);
      await until(() => stats.refused.crowded + stats.refused.late >= 5 * round - 6, "the crowd");
      assert.ok(stats.strangers <= room.all, `${stats.strangers} strangers`);
      if (round === 5) await fetchAll(await region.join("host"), digest);
    }
    await until(() => stats.strangers === 0, "the last of them to leave");
    assert.ok(stats.refused.crowded > 0 && stats.refused.late > 0);
    assert.is(stats.refused.crowded + stats.refused.late, 50);
    assert.is(stats.neighbours, 1);
  } finally {
    await crowd.close();
  }
});

test("a frame of 16 MB is refused before there is room for it", async ({ region }) => {
  const seeder = await region.join("region");
  const crowd = await Crowd.start(seeder);
  try {
    const [stream] = crowd.dial(1, seeder);
    assert.ok(stream);
    await once(stream, "open");
    stream.rawStream.write(Buffer.from([0xff, 0xff, 0xff, 1, 2, 3]));
    await until(() => seeder.swarm.stats.refused.no_hello === 1, "the refusal");
    await until(() => stream.destroyed, "the end of the connection");
  } finally {
    await crowd.close();
  }
});

test("a flood of handshakes from an address takes nothing from others", async ({ region }) => {
  const each = { burst: 10, perSecond: 0 };
  const all = { burst: 1_000, perSecond: 1_000 };
  const seeder = await region.join("region", { admission: { handshakes: { each, all } } });
  const { digest } = await seed(seeder, 2);
  const crowd = await Crowd.start(seeder);
  try {
    crowd.dial(40, seeder);
    await until(() => seeder.swarm.stats.refused.handshake_rate >= 30, "the refusals");
    const listen = { host: "127.0.0.2", port: await freePort() };
    await fetchAll(await region.join("host", { listen }), digest);
  } finally {
    await crowd.close();
  }
});

test("a flood of requests to the DHT takes nothing from others", async ({ region }) => {
  const each = { burst: 200, perSecond: 5 };
  const all = { burst: 10_000, perSecond: 10_000 };
  const seeder = await region.join("region", { admission: { requests: { each, all } } });
  const { digest } = await seed(seeder, 2);
  const crowd = await Crowd.start(seeder, "127.0.0.3");
  try {
    await crowd.ask(500, seeder, { command: 3, target: Buffer.alloc(32, 1) });
    await until(() => seeder.swarm.stats.refused.dht_rate >= 250, "the refusals");
    const listen = { host: "127.0.0.2", port: await freePort() };
    await fetchAll(await region.join("host", { listen }), digest);
  } finally {
    await crowd.close();
  }
});

test("nobody has anything kept, passed on or answered later", async ({ region }) => {
  const seeder = await region.join("region");
  const host = await region.join("host");
  const { digest } = await seed(seeder, 2);
  const crowd = await Crowd.start(seeder);
  try {
    for (const to of [seeder, host]) {
      const value = Buffer.alloc(900, 1);
      for (const command of [1, 6, 8, 10]) await crowd.ask(5, to, { command, value });
      await until(() => to.swarm.stats.refused.dht_request === 20, "the refusals");
    }
    // Who asks a host keeps nothing there either, as a host is no node that others are told of.
    assert.is(await crowd.answers(host, { command: 3, target: Buffer.alloc(32, 1) }), false);
    assert.is(await crowd.answers(seeder, { command: 3, target: Buffer.alloc(32, 1) }), true);
    await fetchAll(host, digest);
  } finally {
    await crowd.close();
  }
});

test("a handshake that is played again ends no connection of who made it", async ({ region }) => {
  const recorded: Asked[] = [];
  const receive = Reflect.get(PrivateDht.prototype, "_onrequest") as (...all: unknown[]) => void;
  const listen = { host: "127.0.0.1", port: await freePort() };
  Reflect.set(PrivateDht.prototype, "_onrequest", function (this: Bound, ...all: [Received]) {
    const [{ command, internal, target, value }] = all;
    if (command === 0 && !internal && this.address().port === listen.port && value !== null) {
      recorded.push({ command, target: Buffer.from(target ?? ""), value: Buffer.from(value) });
    }
    return receive.apply(this, all);
  });
  const lines: string[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => lines.push(line) });
  const joined = (): number => lines.filter((line) => line.includes("neighbour joined")).length;
  try {
    const identity = region.identity("seeder", "region");
    const first = await region.join("region", { listen, identity });
    const host = await region.join("host");
    await until(() => first.swarm.stats.neighbours === 1, "the host");
    await first.swarm.close();
    const before = [...new Map(recorded.splice(0).map((one) => [String(one.value), one])).values()];
    // One that knows nothing of what was said to the first.
    const again = await region.join("region", { listen, identity, log });
    const { stats } = again.swarm;
    await until(() => stats.neighbours === 1, "the host again");
    const { digest } = await seed(again, 2);
    const crowd = await Crowd.start(again);
    try {
      const handshakes = joined();
      assert.ok(before.length > 0);
      for (const { command, target, value } of before) {
        assert.ok(
          await crowd.answers(again, { command, target, value }),
          "it is a handshake still",
        );
      }
      await until(() => stats.refused.late >= before.length, "the end of the connections");
      assert.is(joined(), handshakes, "the host's own connection stood");
      assert.is(stats.neighbours, 1);
      // At first it may be one whose answer was lost.
      for (const end = Date.now() + 20_000; stats.refused.replayed < before.length;) {
        assert.ok(Date.now() < end, "the refusal");
        for (const asked of before) await crowd.ask(1, again, asked);
      }
      await fetchAll(host, digest);
    } finally {
      await crowd.close();
    }
  } finally {
    Reflect.set(PrivateDht.prototype, "_onrequest", receive);
  }
});

test("the data port takes nobody who was not asked, and no crowd", async ({ region }) => {
  const room = { each: 6, all: 8 };
  const data = { ...ADMISSION_LIMITS.data, room };
  const seeder = await region.join("region", { admission: { data } });
  const { digest, content } = await seed(seeder, 4);
  const { stats } = seeder.swarm;
  const sockets: net.Socket[] = [];
  const dial = (from: string): net.Socket => {
    const socket = net.connect({ ...seeder.listen, localAddress: from });
    socket.on("error", () => {});
    sockets.push(socket.resume());
    return socket;
  };
  const identity = region.identity("neighbour", "host");
  const client = await rawClient(region, identity);
  try {
    for (let count = 0; count < 20; count++) dial("127.0.0.1");
    await until(() => stats.refused.data_uninvited === 20, "the refusals");
    const stream = await client.connection();
    stream.write(helloOf(identity));
    const offer = askForOffer(stream);
    await until(() => offer.key !== undefined, "an offer");
    const wrong = tls.connect({
      ...seeder.listen,
      ...PSK_TLS,
      pskCallback: () => ({ psk: Buffer.alloc(32), identity: "00".repeat(16) }),
      checkServerIdentity: () => undefined,
    } as tls.ConnectionOptions);
    wrong.on("error", () => {});
    sockets.push(wrong);
    await until(() => stats.refused.data_secret === 1, "the refusal");
    for (let count = 0; count < 30; count++) dial("127.0.0.2").write(Buffer.from([22, 3, 1]));
    await until(() => stats.refused.data_crowded >= 20, "the crowd");
    assert.ok(stats.strangers <= room.all, `${stats.strangers} strangers`);
    const host = await region.join("host");
    const { last } = await fetchAll(host, digest);
    assert.is(last.bytesDone, content.length);
    assert.is(host.swarm.stats.fallbackChunks, 0, "over the data port");
    await until(() => sockets.every(({ closed }) => closed), "the end of all of them");
    assert.ok(stats.refused.data_late > 0);
  } finally {
    for (const socket of sockets) socket.destroy();
    await client.close();
  }
});

/** The key of the offer that comes. */
function askForOffer(stream: Duplex): { key: Buffer | undefined } {
  const offer: { key: Buffer | undefined } = { key: undefined };
  const decoder = new ControlDecoder();
  decoder.trust();
  stream.on("data", (data: Buffer) => {
    for (const answer of decoder.push(data)) {
      if (answer.$case === "dataOffer") offer.key = answer.value.key;
    }
  });
  const request: Control = { $case: "dataRequest", value: {} };
  stream.write(encodeControl(request));
  return offer;
}

interface Stream extends Duplex {
  rawStream: Duplex;
}
interface Bound {
  address(): { port: number };
}
interface Asked {
  command: number;
  target?: Buffer | null | undefined;
  value?: Buffer | null | undefined;
}
interface Received {
  command: number;
  internal: boolean;
  target: Buffer | null;
  value: Buffer | null;
}
/** What strangers use of HyperDHT, and members do not. */
interface Node {
  bind(): Promise<void>;
  connect(key: Buffer, options: { keyPair: object; relayAddresses: object[] }): Stream;
  request(asked: Asked, to: object, options: { retry: boolean }): Promise<unknown>;
  destroy(options: { force: boolean }): Promise<void>;
}

interface HyperDht {
  new (options: object): Node;
  keyPair(): object;
}
const DHT = createRequire(import.meta.url)("hyperdht") as HyperDht;

/** Strangers of one address, each with a key of its own, who know the keys of members. */
class Crowd {
  readonly #dht: Node;
  readonly #streams: Stream[] = [];

  private constructor(dht: Node) {
    this.#dht = dht;
  }

  static async start(near: Member, host = "127.0.0.1"): Promise<Crowd> {
    const dht = new DHT({
      host,
      port: await freePort(),
      bootstrap: [near.listen],
      firewalled: false,
    });
    await dht.bind();
    return new Crowd(dht);
  }

  /** So many connections, over which nothing is said. */
  dial(count: number, to: Member): Stream[] {
    return Array.from({ length: count }, () => {
      const keyPair = DHT.keyPair();
      const relayAddresses = [to.listen];
      const stream = this.#dht.connect(to.identity.publicKey, { keyPair, relayAddresses });
      stream.on("error", () => {});
      this.#streams.push(stream);
      stream.resume();
      return stream;
    });
  }

  /** So many times at once, whatever the answer. */
  async ask(count: number, to: Member, asked: Asked): Promise<void> {
    const asking = Array.from({ length: count }, () => this.#ask(to, asked));
    await Promise.allSettled(asking);
  }

  /** Whether it is answered, be it with an error. */
  async answers(to: Member, asked: Asked): Promise<boolean> {
    const answer = (await this.#ask(to, asked).catch(() => undefined)) as
      { error: number } | undefined;
    return answer?.error === 0;
  }

  async close(): Promise<void> {
    for (const stream of this.#streams) stream.destroy();
    await this.#dht.destroy({ force: true });
  }

  #ask(to: Member, { command, target = null, value = null }: Asked): Promise<unknown> {
    return this.#dht.request({ command, target, value }, to.listen, { retry: false });
  }
}

test.run();
