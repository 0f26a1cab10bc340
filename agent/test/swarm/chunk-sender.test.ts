import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BufferPool } from "../../src/swarm/buffers.js";
import { ChunkSender } from "../../src/swarm/chunk-sender.js";
import { CHUNK_HEADER_BYTES } from "../../src/swarm/data-frames.js";
import { Giver } from "../../src/swarm/giver.js";
import { Library } from "../../src/swarm/library.js";
import { chunkOf, makeArtifact } from "../store/fixtures.js";
import { log, until } from "./fixtures.js";

const { content, manifest } = makeArtifact([1_000, 2_000, 3_000]);
const { digest } = manifest;
const POOL_BYTES = 256 * 1024;

interface Answer {
  requestId: number;
  chunk?: number;
  refusal?: Reason;
}

const test = suite<{ library: Library; senders: ChunkSender[] }>("chunk sender");
test.before.each((context) => {
  context.senders = [];
  context.library = new Library({
    open: (asked) => Promise.resolve(asked === digest ? inMemory() : undefined),
  });
});
test.after.each(async ({ library, senders }) => {
  for (const sender of senders) sender.stop();
  await library.close();
});

test("any chunk is given once, and again when it did not get there", async (context) => {
  const sender = createSender(context, new Giver());
  const first = connect(sender, "first");
  for (const id of [1, 2, 3, 4]) {
    first.link.request(id, digest, "any", "normal");
    await until(() => first.answers.length === id, "an answer");
    if (id < 3) first.link.received(id);
  }
  const given = first.answers.slice(0, 3).map(({ chunk }) => chunk);
  assert.equal(new Set(given), new Set([0, 1, 2]));
  assert.equal(first.answers[3], { requestId: 4, refusal: Reason.NOTHING_NEW });

  const second = connect(sender, "second");
  sender.close(first.link);
  second.link.request(1, digest, "any", "normal");
  await until(() => second.answers.length === 1, "an answer");
  assert.equal(second.answers, [{ requestId: 1, chunk: given[2] }], "what was not acknowledged");

  second.link.cancel(1);
  second.link.request(2, digest, "any", "normal");
  await until(() => second.answers.length === 2, "an answer");
  assert.equal(second.answers[1], { requestId: 2, chunk: given[2] }, "what was cancelled");
});

test("who is no seeder chooses nothing, but gives what it is asked for", async (context) => {
  const { link, answers } = connect(createSender(context, undefined), "peer");
  link.request(1, digest, "any", "normal");
  await until(() => answers.length === 1, "an answer");
  link.request(2, digest, 2, "normal");
  await until(() => answers.length === 2, "an answer");
  link.received(2);
  link.request(3, digest, 3, "normal");
  await until(() => answers.length === 3, "an answer");
  link.request(4, `sha256:${"0".repeat(64)}`, 0, "normal");
  await until(() => answers.length === 4, "an answer");
  assert.equal(answers, [
    { requestId: 1, refusal: Reason.NOTHING_NEW },
    { requestId: 2, chunk: 2 },
    { requestId: 3, refusal: Reason.NOT_HELD },
    { requestId: 4, refusal: Reason.NOT_HELD },
  ]);
});

test("a chunk that can't be read leaves its buffer for others", async ({ senders }) => {
  const buffers = new BufferPool(POOL_BYTES);
  const first = buffers.take(POOL_BYTES);
  buffers.give(first);
  const library = new Library({ open: () => Promise.resolve({ ...inMemory(), read: broken }) });
  const { link, answers } = connect(createSender({ library, senders }, undefined, buffers), "peer");
  try {
    for (const id of [1, 2]) {
      link.request(id, digest, 0, "normal");
      await until(() => answers.length === id, "an answer");
      assert.equal(answers.at(-1), { requestId: id, refusal: Reason.READ_FAILED });
    }
    assert.is(buffers.take(POOL_BYTES).buffer, first.buffer);
  } finally {
    await library.close();
  }
});

const broken = (): Promise<void> => Promise.reject(new Error("the disk is broken"));

function createSender(
  { library, senders }: { library: Library; senders: ChunkSender[] },
  giver: Giver | undefined,
  buffers = new BufferPool(),
): ChunkSender {
  const sender = new ChunkSender({
    library,
    buffers,
    giver,
    maxBytesPerSecond: undefined,
    log,
    onSent: () => {},
  });
  senders.push(sender);
  return sender;
}

/** A connection that takes everything at once. */
function connect(sender: ChunkSender, peer: string) {
  const answers: Answer[] = [];
  const link = sender.open(
    peer,
    {
      acknowledged: true,
      chunk: (requestId, chunk, framed) => {
        const bytes = framed.subarray(CHUNK_HEADER_BYTES);
        assert.ok(bytes.equals(chunkOf(content, manifest, chunk)));
        answers.push({ requestId, chunk });
        return Promise.resolve();
      },
      refusal: (requestId, refusal) => {
        answers.push({ requestId, refusal });
        return Promise.resolve();
      },
    },
    (error) => {
      throw error;
    },
  );
  return { link, answers };
}

function inMemory() {
  return {
    manifestBytes: manifest.bytes,
    sizeBytes: content.length,
    read: (offset: number, length: number, into: Buffer) => {
      content.copy(into, 0, offset, offset + length);
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}

test.run();
