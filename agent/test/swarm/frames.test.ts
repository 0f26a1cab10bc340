import { randomBytes, randomInt } from "node:crypto";
import {
  CONTROL_FRAME_MAX_BYTES,
  ControlMessage,
  ChunkRefusal_Reason as Reason,
} from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type Control,
  ControlDecoder,
  ProtocolError,
  encodeControl,
} from "../../src/swarm/frames.js";

const artifact = Buffer.alloc(32, 0xaa);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const AA = "aa".repeat(32);

const MESSAGES: [Control, string][] = [
  [
    {
      $case: "hello",
      value: {
        protocolVersion: 1,
        certificate: { payload: Buffer.from("p"), signature: Buffer.from("s") },
        processNonce: Buffer.from("n"),
        cell: "c1",
        neighbours: 3,
      },
    },
    "000000150a13080112060a01701201731a016e220263312803",
  ],
  [{ $case: "interest", value: { artifact, interested: true } }, `0000002612240a20${AA}1001`],
  [
    { $case: "availability", value: { artifact, bitfield: Buffer.from([0x80]), complete: false } },
    `000000271a250a20${AA}120180`,
  ],
  [{ $case: "have", value: { artifact, chunks: [1, 300] } }, `0000002922270a20${AA}120301ac02`],
  [{ $case: "manifestRequest", value: { artifact, offset: 7 } }, `000000262a240a20${AA}1007`],
  [
    {
      $case: "manifestPart",
      value: { artifact, offset: 7, totalBytes: 9, data: Buffer.from("ab") },
    },
    `0000002c322a0a20${AA}1007180922026162`,
  ],
  [
    {
      $case: "dataOffer",
      value: { host: "10.0.0.1", port: 7, identity: Buffer.from("i"), key: Buffer.from("k") },
    },
    "000000143a120a0831302e302e302e3110071a016922016b",
  ],
  [{ $case: "dataRequest", value: {} }, "000000024200"],
  [
    {
      $case: "peerList",
      value: {
        peers: [{ publicKey: Buffer.from("p"), host: "h", port: 7, cell: "c" }],
        neighbours: 3,
        leaving: true,
      },
    },
    "000000134a110a0b0a0170120168180722016310031801",
  ],
  [{ $case: "badChunk", value: { artifact, chunk: 3 } }, `0000002652240a20${AA}1003`],
  [
    { $case: "chunkRequest", value: { requestId: 1, artifact, chunk: 3, priority: 2 } },
    `0000002a5a2808011220${AA}18032002`,
  ],
  [
    { $case: "chunkPart", value: { requestId: 1, offset: 2, data: Buffer.from("x"), chunk: 3 } },
    "0000000b6209080110021a01782003",
  ],
  [{ $case: "chunkRefusal", value: { requestId: 1, reason: Reason.BUSY } }, "000000066a0408011002"],
  [{ $case: "chunkCancel", value: { requestId: 1 } }, "0000000472020801"],
];

for (const [message, golden] of MESSAGES) {
  test(`${message.$case} has these bytes on the control stream`, () => {
    assert.is(hex(encodeControl(message)), golden);
    assert.equal([...new ControlDecoder().push(Buffer.from(golden, "hex"))], [message]);
  });
}

test("control messages come through however the stream is cut", () => {
  const all = Buffer.concat(MESSAGES.map(([message]) => encodeControl(message)));
  for (let round = 0; round < 100; round++) {
    const decoder = new ControlDecoder();
    const messages: Control[] = [];
    for (const piece of cut(all, 1 + (round % 60))) messages.push(...decoder.push(piece));
    assert.equal(
      messages,
      MESSAGES.map(([message]) => message),
    );
  }
});

for (const [what, bytes] of Object.entries({
  "a length beyond the bound": lengthOf(CONTROL_FRAME_MAX_BYTES + 1),
  "a length of 4 GiB": lengthOf(0xffff_ffff),
  "no message": lengthOf(0),
  "an unknown message": Buffer.concat([lengthOf(3), Buffer.from("fa0700", "hex")]),
  "a message that is cut": Buffer.concat([lengthOf(3), Buffer.from("0a0f08", "hex")]),
})) {
  test(`${what} breaks the control stream`, () => {
    assert.throws(
      () => [...new ControlDecoder().push(bytes)],
      (e: unknown) => e instanceof ProtocolError,
    );
  });
}

test("too long a message is not sent", () => {
  const data = Buffer.alloc(CONTROL_FRAME_MAX_BYTES);
  const message: Control = {
    $case: "chunkPart",
    value: { requestId: 1, offset: 0, data, chunk: 0 },
  };
  assert.throws(
    () => encodeControl(message),
    (error: unknown) => error instanceof RangeError,
  );
});

test("random bytes on the control stream are messages or a broken protocol, nothing else", () => {
  for (let round = 0; round < 5_000; round++) {
    const body = randomBytes(randomInt(0, 60));
    const frame = Buffer.concat([lengthOf(round % 3 === 0 ? randomInt(0, 80) : body.length), body]);
    try {
      for (const message of new ControlDecoder().push(frame)) {
        assert.ok(ControlMessage.encode({ message }).finish().length >= 0);
      }
    } catch (error) {
      assert.instance(error, ProtocolError);
    }
  }
});

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

function lengthOf(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

test.run();
