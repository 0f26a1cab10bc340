import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { HashAlgorithm, Manifest as ManifestMessage } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { artifactDigest, digestToBytes } from "../../src/store/manifest.js";
import { type Control, ControlDecoder, encodeControl } from "../../src/swarm/frames.js";
import { type Identity, createIdentity } from "../../src/swarm/index.js";
import { makeArtifact } from "../store/fixtures.js";
import { Region, fetchAll, put, seed, until } from "./fixtures.js";
import { type RawClient, helloOf, rawClient } from "./raw-client.js";

const test = suite<{ region: Region }>("hostile members");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

const random = (): Buffer => randomBytes(32);
const peerAddress = () => ({ publicKey: random(), host: "127.0.0.1", port: 1, cell: "c1" });

/** Each harmless by itself. */
const FLOODS: [string, (artifact: Buffer) => Control][] = [
  ["HAVEs", (artifact) => ({ $case: "have", value: { artifact, chunks: [0, 1, 2] } })],
  [
    "interest in artifacts that nobody has",
    () => ({ $case: "interest", value: { artifact: random(), interested: true } }),
  ],
  [
    "interest taken back and forth",
    (artifact) => ({ $case: "interest", value: { artifact, interested: Math.random() < 0.5 } }),
  ],
  [
    "manifest requests",
    (artifact) => ({ $case: "manifestRequest", value: { artifact, offset: 0 } }),
  ],
  [
    "peer lists",
    () => ({
      $case: "peerList",
      value: {
        peers: Array.from({ length: 32 }, peerAddress),
        neighbours: 4_000_000_000,
        leaving: false,
      },
    }),
  ],
  ["complaints", (artifact) => ({ $case: "badChunk", value: { artifact, chunk: 0 } })],
  ["requests for offers", () => ({ $case: "dataRequest", value: {} })],
  [
    "requests over the control stream",
    (artifact) => ({
      $case: "chunkRequest",
      value: { requestId: Math.floor(Math.random() * 4e9), artifact, chunk: 0, priority: 0 },
    }),
  ],
];

for (const [what, message] of FLOODS) {
  test(`a flood of ${what} ends the connection; the others are served`, async ({ region }) => {
    const seeder = await region.join("region");
    const { digest, content } = await seed(seeder, 3);
    const artifact = digestToBytes(digest);
    const identity = region.identity("hostile", "host");
    const client = await rawClient(region, identity);
    const host = await region.join("host");
    try {
      const batch = Buffer.concat(
        Array.from({ length: 500 }, () => encodeControl(message(artifact))),
      );
      const { stats } = seeder.swarm;
      const answers: Control[] = [];
      let stream = await hostileStream(client, identity, answers);
      for (let sent = 0; sent < 40 && stats.protocolErrors === 0; sent++) {
        if (stream.destroyed) stream = await hostileStream(client, identity, answers);
        let drained = stream.write(batch);
        stream.once("drain", () => (drained = true));
        const current = stream;
        await until(
          () => drained || current.destroyed || stats.protocolErrors > 0,
          "the flood to get in",
        );
      }
      await until(() => stats.protocolErrors === 1, "the end of its patience");
      // What it asks for in vain has a bound of its own, which may be met first.
      assert.ok(stats.bans === 1 || what === "requests over the control stream", "let in no more");
      const parts = answers.filter((answer) => answer.$case === "manifestPart").length;
      assert.ok(parts <= 8_192 / 16 + 200, `${parts} parts of manifests`);
      await until(() => stream.destroyed, "the end of the connection");
      const { last } = await fetchAll(host, digest);
      assert.is(last.bytesDone, content.length);
    } finally {
      await client.close();
    }
  });
}

for (const [what, hello] of Object.entries<(region: Region) => Buffer>({
  "another region's": (region) => helloOf(certified(region, "us")),
  "somebody else's": (region) => helloOf(region.identity("victim", "host")),
})) {
  test(`a certificate that is ${what} opens nothing`, async ({ region }) => {
    const seeder = await region.join("region");
    const client = await rawClient(region, region.identity("hostile", "host"));
    try {
      const stream = await client.connection();
      const answers: Control[] = [];
      listen(stream, (answer) => answers.push(answer));
      stream.write(hello(region));
      stream.write(encodeControl({ $case: "dataRequest", value: {} }));
      const { stats } = seeder.swarm;
      await until(() => stats.membershipRefusals + stats.protocolErrors > 0, "a refusal");
      await until(() => stream.destroyed, "the end of the connection");
      assert.is(stats.neighbours, 0);
      assert.not(answers.some(({ $case }) => $case !== "hello"));
    } finally {
      await client.close();
    }
  });
}

test("a stranger may say a hello, and nothing longer", async ({ region }) => {
  const seeder = await region.join("region");
  const identity = region.identity("hostile", "host");
  // Not announced: if the seeder dialled it as well, one of the two connections would be reset.
  const client = await rawClient(region, identity, region.seederKey, false);
  try {
    for (const [count, said] of [
      Buffer.from("00001001", "hex"),
      encodeControl({ $case: "have", value: { artifact: random(), chunks: [1] } }),
    ].entries()) {
      const stream = await client.connection();
      stream.write(said);
      await until(() => seeder.swarm.stats.protocolErrors > count, "the end of the connection");
    }
    assert.is(seeder.swarm.stats.neighbours, 0);
  } finally {
    await client.close();
  }
});

const HUGE = ManifestMessage.encode(
  ManifestMessage.fromPartial({
    hashAlgorithm: HashAlgorithm.SHA256,
    sizeBytes: 2 ** 50,
    chunkSizes: Array.from({ length: 1_000 }, () => 2 ** 24),
    chunkHashes: Buffer.alloc(32_000),
    contentHash: Buffer.alloc(32),
  }),
).finish();

for (const [what, [digest, totalBytes, data]] of Object.entries<
  [digest: string, totalBytes: number, data: Buffer]
>({
  "says that it is of a petabyte": [artifactDigest(HUGE), HUGE.byteLength, Buffer.from(HUGE)],
  "has 4 GB itself": [artifactDigest(Buffer.from("x")), 4_000_000_000, Buffer.alloc(1_000)],
  "is another one's": [artifactDigest(Buffer.from("x")), 1_000, Buffer.alloc(1_000)],
  "comes a byte at a time": [artifactDigest(Buffer.from("x")), 1_000, Buffer.alloc(1)],
  "goes on beyond its end": [artifactDigest(Buffer.from("x")), 10, Buffer.alloc(1_000)],
})) {
  test(`a manifest that ${what} takes no room, and who gave it is banned`, async ({ region }) => {
    const seeder = await region.join("region");
    const host = await region.join("host");
    const honest = makeArtifact([100_000]);
    await put(seeder.store, honest.content, honest.manifest);
    const identity = region.identity("hostile", "region");
    const client = await rawClient(region, identity, host.identity.publicKey);
    const stop = new AbortController();
    const fetching = fetchAll(host, digest, stop.signal).catch((reason: unknown) => reason);
    try {
      const stream = await client.connection();
      stream.write(helloOf(identity));
      const artifact = digestToBytes(digest);
      claim(stream, artifact);
      await asked(stream, "manifestRequest");
      const value = { artifact, offset: 0, totalBytes, data };
      stream.write(encodeControl({ $case: "manifestPart", value }));
      await until(() => host.swarm.stats.bans === 1, "the ban");
      assert.equal(await host.store.list(), [], "nothing was begun");
      await fetchAll(host, honest.manifest.digest);
    } finally {
      stop.abort();
      await fetching;
      await client.close();
    }
  });
}

test("to say what it has of many chunks counts as much as many messages", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest } = await seed(seeder, 20_000, 64);
  const identity = region.identity("hostile", "host");
  const client = await rawClient(region, identity);
  try {
    const stream = await hostileStream(client, identity, []);
    const artifact = digestToBytes(digest);
    stream.write(encodeControl({ $case: "interest", value: { artifact, interested: true } }));
    await asked(stream, "interest");
    for (let said = 0; said < 500; said++) {
      const value = { artifact, bitfield: Buffer.alloc(0), complete: said % 2 === 0 };
      stream.write(encodeControl({ $case: "availability", value }));
    }
    await until(() => seeder.swarm.stats.bans === 1, "the end of its patience");
  } finally {
    await client.close();
  }
});

test("who never gives the manifest that it says it has holds up nobody", async ({ region }) => {
  const seeder = await region.join("region");
  const host = await region.join("host");
  const { content, manifest } = makeArtifact([100_000]);
  const { digest } = manifest;
  const identity = region.identity("hostile", "host");
  const client = await rawClient(region, identity, host.identity.publicKey);
  const fetching = fetchAll(host, digest);
  try {
    const stream = await client.connection();
    stream.write(helloOf(identity));
    claim(stream, digestToBytes(digest));
    await asked(stream, "manifestRequest");
    await put(seeder.store, content, manifest);
    const since = performance.now();
    seeder.swarm.announce(digest);
    await fetching;
    const took = performance.now() - since;
    assert.ok(took < 3_000, `${took} ms`);
  } finally {
    await client.close();
  }
});

function certified(region: Region, name: string): Identity {
  return createIdentity({
    id: "hostile",
    region: name,
    role: "host",
    membershipKey: region.membership.privateKey,
    expireTime: new Date(Date.now() + 60_000),
  });
}

/** What the other side says from now on. */
function listen(stream: Duplex, onAnswer: (answer: Control) => void): void {
  const decoder = new ControlDecoder();
  decoder.trust();
  stream.on("data", (data: Buffer) => {
    for (const answer of decoder.push(data)) onAnswer(answer);
  });
}

/** Says that it has all of an artifact, whenever the other side asks: before, it may not listen. */
function claim(stream: Duplex, artifact: Buffer): void {
  const value = { artifact, bitfield: Buffer.alloc(0), complete: true };
  listen(stream, (answer) => {
    if (answer.$case !== "interest" || !artifact.equals(answer.value.artifact)) return;
    stream.write(encodeControl({ $case: "availability", value }));
  });
}

/** A connection that said hello; what comes on it goes to `answers`. */
async function hostileStream(
  client: RawClient,
  identity: Identity,
  answers: Control[],
): Promise<Duplex> {
  const stream = await client.connection();
  answers.splice(0);
  listen(stream, (answer) => answers.push(answer));
  stream.write(helloOf(identity));
  await until(() => stream.destroyed || answers.length > 0, "its hello");
  return stream;
}

async function asked(stream: Duplex, $case: Control["$case"]): Promise<void> {
  const answers: Control[] = [];
  listen(stream, (answer) => answers.push(answer));
  await until(() => answers.some((answer) => answer.$case === $case), $case);
}

test.run();
