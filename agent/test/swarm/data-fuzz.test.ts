import { CHUNK_MAX_BYTES } from "@slipway/proto";
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  CHUNK_HEADER_BYTES,
  type DataRequestFrame,
  RequestReader,
  encodeDataRequest,
  encodeRefusal,
  writeChunkHeader,
} from "../../src/swarm/data-frames.js";
import { ProtocolError } from "../../src/swarm/frames.js";
import { ResponseReader } from "../../src/swarm/response-reader.js";

const id = fc.nat(0xffff_ffff);
const plain = { noNullPrototype: true };
const requestFrame: fc.Arbitrary<DataRequestFrame> = fc.oneof(
  fc.record(
    {
      kind: fc.constant("request" as const),
      requestId: id,
      artifact: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
      chunk: fc.oneof(fc.nat(0xffff_fffe), fc.constant("any" as const)),
      priority: fc.constantFrom("urgent" as const, "normal" as const, "background" as const),
    },
    plain,
  ),
  fc.record(
    { kind: fc.constantFrom("cancel" as const, "received" as const), requestId: id },
    plain,
  ),
);

/** A chunk, or a refusal. */
const response = fc.oneof(
  fc.record({
    requestId: id,
    chunk: fc.nat(0xffff_fffe),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    wanted: fc.boolean(),
  }),
  fc.record({ requestId: id, reason: fc.nat(255) }),
);
/** Where a stream is cut: sizes of its pieces, over and over. */
const cuts = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 20 });

test("what a downloader says is read as it was said, however it is cut", () => {
  const said = fc.array(requestFrame, { maxLength: 30 });
  fc.assert(
    fc.property(said, cuts, (frames, sizes) => {
      const reader = new RequestReader();
      const bytes = Buffer.concat(frames.map(encodeDataRequest));
      assert.equal(
        [...pieces(bytes, sizes)].flatMap((piece) => [...reader.push(piece)]),
        frames,
      );
    }),
  );
});

test("any bytes from a downloader are requests or a broken protocol", () => {
  fc.assert(
    fc.property(streamOf([1, 2, 3, 4, 0]), cuts, (bytes, sizes) => {
      const reader = new RequestReader();
      brokenAtWorst(() => {
        for (const piece of pieces(bytes, sizes)) {
          for (const frame of reader.push(piece)) {
            const again = encodeDataRequest(frame);
            assert.ok(bytes.includes(again), "it was said so");
          }
        }
      });
    }),
    { numRuns: 2_000 },
  );
});

test("what a sender says is read as it was said, however it is cut", () => {
  const said = fc.array(response, { maxLength: 20 });
  fc.assert(
    fc.property(said, cuts, (answers, sizes) => {
      const stream = answers.map((answer) => {
        if ("reason" in answer) return encodeRefusal(answer.requestId, answer.reason);
        const framed = Buffer.concat([Buffer.alloc(CHUNK_HEADER_BYTES), answer.bytes]);
        writeChunkHeader(framed, answer.requestId, answer.chunk);
        return framed;
      });
      let next = 0;
      const reader = new ResponseReader({
        begin: (requestId, chunk, size) => {
          const answer = answers[next];
          assert.ok(answer !== undefined && "bytes" in answer);
          assert.equal([requestId, chunk, size], [answer.requestId, answer.chunk, size]);
          return answer.wanted ? Buffer.alloc(size) : undefined;
        },
        chunk: (requestId, bytes) => {
          const answer = answers[next++];
          assert.ok(answer !== undefined && "bytes" in answer);
          assert.is(requestId, answer.requestId);
          assert.is(bytes !== undefined, answer.wanted);
          if (bytes !== undefined) assert.ok(bytes.equals(answer.bytes));
        },
        refusal: (requestId, reason) => {
          const answer = answers[next++];
          assert.ok(answer !== undefined && "reason" in answer);
          assert.equal([requestId, reason], [answer.requestId, answer.reason]);
        },
      });
      for (const piece of pieces(Buffer.concat(stream), sizes)) feed(reader, piece);
      assert.is(next, answers.length);
      assert.is(reader.unfinished, undefined);
    }),
  );
});

test("any bytes from a sender cost no more than the chunks that were asked for", () => {
  fc.assert(
    fc.property(streamOf([1, 2, 3, 0]), cuts, fc.nat(3), (bytes, sizes, asked) => {
      let left = asked;
      let lent = 0;
      const reader = new ResponseReader({
        begin: (_requestId, _chunk, size) => {
          assert.ok(size >= 1 && size <= CHUNK_MAX_BYTES);
          if (left-- === 0) throw new ProtocolError("never asked for");
          lent++;
          return size % 2 === 0 ? undefined : Buffer.alloc(Math.min(size, 64));
        },
        chunk: () => {},
        refusal: () => {},
      });
      brokenAtWorst(() => {
        for (const piece of pieces(bytes, sizes)) feed(reader, piece);
      });
      assert.ok(lent <= asked);
    }),
    { numRuns: 2_000 },
  );
});

/** Bytes that begin like frames more often than random ones would. */
function streamOf(types: number[]): fc.Arbitrary<Buffer> {
  const small = fc.uint8Array({ minLength: 0, maxLength: 60 });
  const part = fc
    .tuple(fc.constantFrom(...types), fc.nat(3), small)
    .map(([type, zeros, bytes]) =>
      Buffer.concat([Buffer.from([type]), Buffer.alloc(zeros * 4), bytes]),
    );
  return fc.array(part, { maxLength: 20 }).map((parts) => Buffer.concat(parts));
}

function brokenAtWorst(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}

function* pieces(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let turn = 0;
  for (let at = 0; at < bytes.length;) {
    const size = sizes[turn++ % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** As a socket with `onread` does. */
function feed(reader: ResponseReader, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    const target = reader.target();
    assert.ok(target.length > 0 && target.length <= CHUNK_MAX_BYTES);
    const copied = bytes.copy(target, 0, at);
    reader.advance(copied);
    at += copied;
  }
}

test.run();
