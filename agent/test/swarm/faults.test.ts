import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DataLink } from "../../src/swarm/data-link.js";
import { type Control, encodeControl } from "../../src/swarm/frames.js";
import { createIdentity, join, type Identity } from "../../src/swarm/index.js";
import { temporaryDirectory } from "../store/fixtures.js";
import { ChildPeer } from "./child-peer.js";
import { Region, contentOf, fetchAll, log, seed, until } from "./fixtures.js";
import { helloOf, rawClient } from "./raw-client.js";

const test = suite<{ region: Region }>("swarm faults");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

test("a host killed while it downloads goes on from its verified chunks", async ({ region }) => {
  const seeder = await region.join("region", { tamper: () => delay(25) });
  const { digest, content } = await seed(seeder, 60, 64 * 1024);
  const { dir, remove } = await temporaryDirectory();
  try {
    const options = { region, identity: region.identity("killed", "host"), dir, digest };
    const first = await ChildPeer.start(options);
    await until(() => (first.progress?.bytesDone ?? 0) > 0, "its first chunks");
    first.kill("SIGKILL");
    await until(() => first.ended, "its end");
    const second = await ChildPeer.start(options);
    await until(() => second.ended, "the second to get the rest");
    const last = second.progress;
    assert.is(last?.bytesDone, content.length);
    assert.ok((last?.fromLocal ?? 0) > 0, "what was there was not fetched again");
    assert.is((last?.fromLocal ?? 0) + (last?.fromSeeders ?? 0), content.length);
    const host = await region.join("host", { dir });
    assert.ok((await contentOf(host.store, digest)).equals(content));
  } finally {
    await remove();
  }
});

for (const [what, identity] of Object.entries<(region: Region) => Identity>({
  "signed by another fleet": () =>
    createIdentity({
      id: "stranger",
      region: "eu",
      role: "region",
      membershipKey: generateKeyPairSync("ed25519").privateKey,
      expireTime: new Date(Date.now() + 60_000),
    }),
  expired: (region) => region.identity("late", "host", new Date(Date.now() - 1)),
})) {
  test(`a peer whose certificate is ${what} is refused`, async ({ region }) => {
    const seeder = await region.join("region");
    const { digest } = await seed(seeder, 2);
    const stranger = await region.join("host", { identity: identity(region) });
    await until(() => seeder.swarm.stats.membershipRefusals > 0, "a refusal");
    const signal = AbortSignal.timeout(300);
    const error = await fetchAll(stranger, digest, signal).catch((reason: unknown) => reason);
    assert.is((error as Error).name, "TimeoutError");
    assert.is(seeder.swarm.stats.neighbours, 0);
    assert.is(seeder.swarm.stats.bytesSent, 0);
  });
}

test("a member that breaks the protocol is dropped, and nobody else is disturbed", async ({
  region,
}) => {
  const seeder = await region.join("region");
  const { digest, manifest } = await seed(seeder, 3);
  const host = await region.join("host");
  const artifact = Buffer.from(digest.slice(7), "hex");
  const hostile: (Control | Buffer)[] = [
    Buffer.from("ffffffff", "hex"),
    Buffer.from("00000003fa0700", "hex"),
    { $case: "interest", value: { artifact: Buffer.alloc(31), interested: true } },
    { $case: "have", value: { artifact: Buffer.alloc(0), chunks: [] } },
    { $case: "chunkPart", value: { requestId: 7, chunk: 0, offset: 0, data: Buffer.from("x") } },
    {
      $case: "chunkRequest",
      value: { requestId: 1, artifact: Buffer.alloc(3), chunk: 0, priority: 0 },
    },
    { $case: "chunkRequest", value: { requestId: 1, artifact, chunk: 0, priority: 3 } },
    {
      $case: "peerList",
      value: {
        peers: [{ publicKey: Buffer.alloc(3), host: "h", port: 0, cell: "" }],
        neighbours: 0,
        leaving: false,
      },
    },
  ];
  const identity = region.identity("hostile", "host");
  const client = await rawClient(region, identity);
  try {
    for (const [count, message] of hostile.entries()) {
      const stream = await client.connection();
      stream.write(helloOf(identity));
      // Fine in itself: unknown artifacts, chunks that don't exist, answers nobody waits for.
      for (const harmless of [
        { $case: "badChunk", value: { artifact, chunk: 4_000_000_000 } },
        {
          $case: "chunkRequest",
          value: { requestId: 2, artifact, chunk: 4_000_000_000, priority: 1 },
        },
        { $case: "chunkCancel", value: { requestId: 9 } },
        {
          $case: "manifestPart",
          value: { artifact, offset: 0, totalBytes: 4_000_000_000, data: Buffer.alloc(5) },
        },
        { $case: "availability", value: { artifact, bitfield: Buffer.alloc(9), complete: false } },
      ] satisfies Control[]) {
        stream.write(encodeControl(harmless));
      }
      stream.write(Buffer.isBuffer(message) ? message : encodeControl(message));
      await until(() => seeder.swarm.stats.protocolErrors > count, `error ${count}`);
    }
  } finally {
    await client.close();
  }
  await fetchAll(host, digest);
  assert.is((await contentOf(host.store, digest)).length, manifest.sizeBytes);
  assert.is(seeder.swarm.stats.protocolErrors, hostile.length);
});

test("a peer that lies about what it has is dropped", async ({ region }) => {
  const seeder = await region.join("region", { tamper: () => delay(200) });
  const { digest } = await seed(seeder, 300, 1_000);
  const host = await region.join("host");
  const identity = region.identity("hostile", "region");
  const client = await rawClient(region, identity, host.identity.publicKey);
  const artifact = Buffer.from(digest.slice(7), "hex");
  const beyondTheEnd = Buffer.alloc(38);
  beyondTheEnd[37] = 1;
  const stop = new AbortController();
  try {
    const fetching = fetchAll(host, digest, stop.signal).catch((reason: unknown) => reason);
    for (const [count, message] of [
      { $case: "availability", value: { artifact, bitfield: Buffer.alloc(9), complete: false } },
      {
        $case: "availability",
        value: { artifact, bitfield: beyondTheEnd, complete: false },
      },
      { $case: "have", value: { artifact, chunks: [300] } },
    ].entries() as Iterable<[number, Control]>) {
      const stream = await client.connection();
      stream.write(helloOf(identity));
      await until(() => host.swarm.stats.bytesFromSeeders > 0, "chunks on their way");
      stream.write(encodeControl(message));
      await until(() => host.swarm.stats.protocolErrors > count, `error ${count}`);
    }
    stop.abort();
    assert.is(((await fetching) as Error).name, "AbortError", "it was still going on");
  } finally {
    await client.close();
  }
});

test("a data port that is closed, or never answers, is given up within a second or so", async () => {
  const taken = new Set<net.Socket>();
  const silent = net.createServer((socket) => taken.add(socket));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const silentPort = (silent.address() as net.AddressInfo).port;
  try {
    for (const port of [await freePort(), silentPort]) {
      const started = Date.now();
      const error = await new Promise<Error>((resolve) => {
        const link = new DataLink("tls-psk", {
          onNeedOffer: () =>
            setImmediate(() =>
              link.accept({
                host: "127.0.0.1",
                port,
                identity: Buffer.alloc(16),
                key: Buffer.alloc(32),
              }),
            ),
          onProgress: () => {},
          onUp: () => assert.unreachable(),
          onDown: (reason) => {
            assert.is(link.ready(Date.now()), "unreachable");
            resolve(reason);
            link.close();
          },
          onUnfinished: () => {},
          begin: () => undefined,
          chunk: () => {},
          refusal: () => {},
        });
        assert.is(link.ready(Date.now()), "wait");
      });
      assert.instance(error, Error);
      assert.ok(Date.now() - started < 2_500);
    }
  } finally {
    for (const socket of taken) socket.destroy();
    silent.close();
  }
});

test("strangers that hold the data port without a word are closed, whatever they began with", async ({
  region,
}) => {
  const { listen } = await region.join("region");
  const sockets = ["", "\x16", "\x16\x03\x01\xff\xff", "GET / HTTP/1.0\r\n\r\n"].map((said) => {
    const socket = net.connect(listen.port, listen.host, () => socket.write(said));
    return socket.on("error", () => {}).resume();
  });
  try {
    await until(() => sockets.every(({ closed }) => closed), "the end of the connections");
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

test("addresses that can't work are refused, and a taken port is an error", async ({ region }) => {
  const seeder = await region.join("region");
  const options = {
    identity: region.identity("h9", "host"),
    membershipPublicKey: region.membership.publicKey,
    cell: "c1",
    bootstrap: region.bootstrap,
    source: seeder.store,
    log,
  };
  for (const host of ["0.0.0.0", "localhost", "::1"]) {
    const error = await join({ ...options, listen: { host, port: 7 } }).catch((e: unknown) => e);
    assert.match(String(error), "not an IPv4 address");
  }
  const error = await join({ ...options, listen: seeder.listen }).catch((e: unknown) => e);
  assert.match(String(error), "EADDRINUSE");
});

test.run();
