import { CONTROL_FRAME_MAX_BYTES, ControlMessage } from "@slipway/proto";

/** The other side broke the protocol: the connection is closed. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** What a control frame carries. */
export type Control = NonNullable<ControlMessage["message"]>;

const LENGTH_BYTES = 4;

/** A frame of the control stream: u32 length, then a ControlMessage. Throws RangeError if too long. */
export function encodeControl(message: Control): Buffer {
  const body = ControlMessage.encode({ message }).finish();
  if (body.byteLength > CONTROL_FRAME_MAX_BYTES) {
    throw new RangeError(`a ${message.$case} of ${body.byteLength} bytes`);
  }
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + body.byteLength);
  frame.writeUInt32BE(body.byteLength, 0);
  frame.set(body, LENGTH_BYTES);
  return frame;
}

/** Cuts the control stream's bytes, however they arrive, into messages. Holds one frame at most. */
export class ControlDecoder {
  #pending: Buffer = Buffer.alloc(0);

  /** Throws ProtocolError for a frame that is too long, or holds no message that is known. */
  *push(data: Buffer): Generator<Control> {
    this.#pending = this.#pending.length === 0 ? data : Buffer.concat([this.#pending, data]);
    while (this.#pending.length >= LENGTH_BYTES) {
      const length = this.#pending.readUInt32BE(0);
      if (length > CONTROL_FRAME_MAX_BYTES) throw new ProtocolError(`a frame of ${length} bytes`);
      if (this.#pending.length < LENGTH_BYTES + length) return;
      const body = this.#pending.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
      this.#pending = this.#pending.subarray(LENGTH_BYTES + length);
      yield decode(body);
    }
  }
}

function decode(body: Buffer): Control {
  let decoded: ControlMessage;
  try {
    decoded = ControlMessage.decode(body);
  } catch (error) {
    throw new ProtocolError("a frame that is no message", { cause: error });
  }
  if (decoded.message === undefined) throw new ProtocolError("an unknown message");
  return decoded.message;
}
