import type { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { CHUNK_HEADER_BYTES } from "./data-frames.js";
import type { Neighbour } from "./neighbour.js";
import type { ChunkSink } from "./sending-link.js";

/** Bytes of a chunk in one message of the control stream. */
const PART_BYTES = 64 * 1024;

/** Sends chunks over the control stream, one after the other. */
export function controlSink(neighbour: Neighbour): ChunkSink {
  let turn: Promise<void> = Promise.resolve();
  const send = async (requestId: number, chunk: number, bytes: Buffer): Promise<void> => {
    for (let offset = 0; offset < bytes.length; offset += PART_BYTES) {
      const data = bytes.subarray(offset, offset + PART_BYTES);
      neighbour.send({ $case: "chunkPart", value: { requestId, chunk, offset, data } });
      await neighbour.drained();
    }
  };
  return {
    acknowledged: false,
    chunk: (requestId, chunk, framed) => {
      turn = turn.then(() => send(requestId, chunk, framed.subarray(CHUNK_HEADER_BYTES)));
      return turn;
    },
    refusal: async (requestId: number, reason: Reason) => {
      neighbour.send({ $case: "chunkRefusal", value: { requestId, reason } });
      await neighbour.drained();
    },
  };
}
