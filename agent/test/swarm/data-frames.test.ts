import { randomBytes, randomInt } from "node:crypto";
import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
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
import { type ResponseHandler, ResponseReader } from "../../src/swarm/response-reader.js";

const artifact = Buffer.alloc(32, 0xaa);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const AA = "aa".repeat(32);

const REQUESTS: [DataRequestFrame, string][] = [
  [
    { kind: "request", requestId: 0x01020304, artifact, chunk: 5, priority: "normal" },
    `0101020304${AA}0000000501`,
  ],
  [
    { kind: "request", requestId: 0xffff_ffff, artifact, chunk: "any", priority: "urgent" },
    `01ffffffff${AA}ffffffff02`,
  ],
  [
    { kind: "request", requestId: 1, artifact, chunk: 0xffff_fffe, priority: "background" },
    `0100000001${AA}fffffffe00`,
  ],
  [{ kind: "cancel", requestId: 7 }, "0200000007"],
  [{ kind: "received", requestId: 7 }, "0300000007"],
];

test("the data connection's headers have these bytes", () => {
  for (const [frame, golden] of REQUESTS) {
    assert.is(hex(encodeDataRequest(frame)), golden);
    assert.equal([...new RequestReader().push(Buffer.from(golden, "hex"))], [frame]);
  }
  assert.is(hex(encodeRefusal(7, Reason.NOTHING_NEW)), "020000000704");
  assert.is(hex(framed(7, 9, Buffer.from("ab"))), "010000000700000009000000026162");
});

test("requests come through however the stream is cut", () => {
  const bytes = Buffer.concat(REQUESTS.map(([frame]) => encodeDataRequest(frame)));
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new RequestReader();
    assert.equal(
      cut(bytes, size).flatMap((piece) => [...reader.push(piece)]),
      REQUESTS.map(([frame]) => frame),
    );
  }
  assert.throws(() => [...new RequestReader().push(Buffer.from([4]))], /type 4/);
  const unknown = Buffer.from(`0100000001${AA}0000000003`, "hex");
  assert.throws(() => [...new RequestReader().push(unknown)], /priority 3/);
});

test("chunks land in their buffers however the stream is cut, and the unwanted are skipped", () => {
  const wanted = randomBytes(300);
  const stream = Buffer.concat([
    framed(1, 11, wanted),
    encodeRefusal(2, Reason.BUSY),
    framed(3, 13, randomBytes(200_000)),
    framed(4, 14, Buffer.from("z")),
  ]);
  for (const size of [1, 2, 5, 12, 13, 299, 1_000, 100_000, stream.length]) {
    const seen: unknown[] = [];
    const reader = new ResponseReader({
      begin: (id, chunk, bytes) => {
        seen.push([id, chunk]);
        return id === 3 ? undefined : Buffer.alloc(bytes);
      },
      chunk: (id, bytes) => seen.push([id, bytes && hex(bytes)]),
      refusal: (id, reason) => seen.push([id, reason]),
    });
    for (const piece of cut(stream, size)) feed(reader, piece);
    assert.equal(seen, [
      [1, 11],
      [1, hex(wanted)],
      [2, Reason.BUSY],
      [3, 13],
      [3, undefined],
      [4, 14],
      [4, "7a"],
    ]);
    assert.is(reader.unfinished, undefined);
  }
});

test("a sender's nonsense breaks the protocol, at no cost", () => {
  const handler: ResponseHandler = {
    begin: () => {
      throw new ProtocolError("never asked for");
    },
    chunk: () => assert.unreachable(),
    refusal: () => {},
  };
  for (const bytes of [
    "03",
    "01000000010000000000000000",
    "01000000010000000001000001",
    "010000000100000000ffffffff",
    "0100000001ffffffff00000001",
    "01000000010000000000000001",
  ]) {
    const stream = Buffer.concat([Buffer.from(bytes, "hex"), Buffer.alloc(9)]);
    assert.throws(
      () => feed(new ResponseReader(handler), stream),
      (e: unknown) => e instanceof ProtocolError,
    );
  }
  for (let round = 0; round < 5_000; round++) {
    try {
      feed(new ResponseReader(handler), randomBytes(randomInt(1, 100)));
    } catch (error) {
      assert.instance(error, ProtocolError);
    }
    try {
      for (const frame of new RequestReader().push(randomBytes(randomInt(1, 200))))
        assert.ok(frame.kind);
    } catch (error) {
      assert.instance(error, ProtocolError);
    }
  }
});

function framed(requestId: number, chunk: number, bytes: Buffer): Buffer {
  const all = Buffer.concat([Buffer.alloc(CHUNK_HEADER_BYTES), bytes]);
  writeChunkHeader(all, requestId, chunk);
  return all;
}

/** As a socket with `onread` does. */
function feed(reader: ResponseReader, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    const target = reader.target();
    assert.ok(target.length > 0, "a socket that is given an empty buffer fails");
    const copied = bytes.copy(target, 0, at);
    reader.advance(copied);
    at += copied;
  }
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

test.run();
