import { once } from "node:events";
import net from "node:net";
import type { Duplex } from "node:stream";
import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  CHUNK_HEADER_BYTES,
  type DataRequestFrame,
  RequestReader,
  encodeRefusal,
  writeChunkHeader,
} from "../../src/swarm/data-frames.js";
import { type Control, ControlDecoder, encodeControl } from "../../src/swarm/frames.js";
import { Region, contentOf, fetchAll, seed, until } from "./fixtures.js";
import { helloOf, rawClient } from "./raw-client.js";

const CHUNK_BYTES = 64 * 1024;

const test = suite<{ region: Region }>("hostile senders");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

type Asked = DataRequestFrame & { kind: "request" };

const answers: Record<string, (asked: Asked) => Buffer> = {
  "an unknown type": () => Buffer.alloc(13, 9),
  "a chunk that nobody asked for": ({ requestId }) => framed(requestId + 1_000, 0, CHUNK_BYTES),
  "a chunk of another number": ({ requestId, chunk }) =>
    framed(requestId, chunk === "any" ? 4_000 : chunk + 1, CHUNK_BYTES),
  "a chunk of another size": ({ requestId, chunk }) =>
    framed(requestId, chunk === "any" ? 0 : chunk, CHUNK_BYTES - 1),
  "a chunk of 4 GiB": ({ requestId }) => {
    const header = framed(requestId, 0, 0);
    header.writeUInt32BE(0xffff_ffff, 9);
    return header;
  },
  "more answers than requests": ({ requestId }) =>
    Buffer.concat(Array.from({ length: 100 }, () => encodeRefusal(requestId, Reason.BUSY))),
};

for (const [what, answer] of Object.entries(answers)) {
  for (const role of what.includes("number")
    ? (["host", "region"] as const)
    : ["region" as const]) {
    test(`${what}, from a ${role}: dropped, and all comes from others`, async ({ region }) => {
      const seeder = await region.join("region", { encryption: "none" });
      const { digest, content } = await seed(seeder, 40, CHUNK_BYTES);
      const host = await region.join("host", { encryption: "none" });
      const hostile = await startHostile(region, host.identity.publicKey, role, digest, answer);
      try {
        const before = host.swarm.stats.protocolErrors;
        await until(() => hostile.connected, "its connection");
        const fetching = fetchAll(host, digest);
        await until(() => host.swarm.stats.protocolErrors > before, "the error");
        await fetching;
        assert.ok((await contentOf(host.store, digest)).equals(content));
        assert.is(host.swarm.stats.verifyFailures, 0);
      } finally {
        await hostile.close();
      }
    });
  }
}

for (const [what, flood] of Object.entries<(artifact: Buffer) => Control>({
  interests: (artifact) => ({ $case: "interest", value: { artifact, interested: true } }),
  haves: (artifact) => ({ $case: "have", value: { artifact, chunks: [1, 2, 3] } }),
  "chunk requests": (artifact) => ({
    $case: "chunkRequest",
    value: { requestId: 1, artifact, chunk: 0xffff, priority: 1 },
  }),
  cancels: () => ({ $case: "chunkCancel", value: { requestId: 1 } }),
})) {
  test(`a flood of ${what} on the control stream ends it`, async ({ region }) => {
    const seeder = await region.join("region");
    const { digest } = await seed(seeder, 4, CHUNK_BYTES);
    const host = await region.join("host");
    const identity = region.identity("hostile", "host");
    // Not announced: if the seeder dialled it as well, one of the two connections would be reset.
    const client = await rawClient(region, identity, region.seederKey, false);
    try {
      const stream = await client.connection();
      const heard = once(stream, "data", { signal: AbortSignal.timeout(10_000) });
      stream.write(helloOf(identity));
      await heard;
      const frame = encodeControl(flood(Buffer.from(digest.slice(7), "hex")));
      stream.write(Buffer.concat(Array.from({ length: 20_000 }, () => frame)));
      await until(() => seeder.swarm.stats.protocolErrors > 0, "the error");
    } finally {
      await client.close();
    }
    await fetchAll(host, digest);
  });
}

/** A member that says it has the artifact, and gives what it likes. */
async function startHostile(
  region: Region,
  victim: Buffer,
  role: "host" | "region",
  digest: string,
  answer: (asked: Asked) => Buffer,
) {
  const identity = region.identity("hostile", role);
  const client = await rawClient(region, identity, victim);
  const artifact = Buffer.from(digest.slice(7), "hex");
  const server = net.createServer((socket) => {
    const reader = new RequestReader();
    let skip = 16;
    socket.on("error", () => {});
    socket.on("data", (data) => {
      const said = data.subarray(Math.min(skip, data.length));
      skip -= data.length - said.length;
      for (const frame of reader.push(said)) {
        if (frame.kind === "request") socket.write(answer(frame));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const hostile = {
    connected: false,
    close: async () => {
      server.close();
      await client.close();
    },
  };
  const serve = (stream: Duplex): void => {
    const decoder = new ControlDecoder();
    const say = (message: Control): void => void stream.write(encodeControl(message));
    stream.write(helloOf(identity));
    hostile.connected = true;
    stream.on("data", (data: Buffer) => {
      for (const message of decoder.push(data)) {
        if (message.$case === "interest" && message.value.interested) {
          const value = { artifact, bitfield: Buffer.alloc(0), complete: true };
          say({ $case: "availability", value });
        }
        if (message.$case === "dataRequest") {
          const offer = {
            host: "127.0.0.1",
            port,
            identity: Buffer.alloc(16),
            key: Buffer.alloc(0),
          };
          say({ $case: "dataOffer", value: offer });
        }
      }
    });
  };
  client.connection().then(serve, () => undefined);
  return hostile;
}

/** A chunk of zeros. */
function framed(requestId: number, chunk: number, size: number): Buffer {
  const bytes = Buffer.alloc(CHUNK_HEADER_BYTES + size);
  writeChunkHeader(bytes, requestId, chunk);
  return bytes;
}

test.run();
