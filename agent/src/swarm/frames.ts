import { CONTROL_FRAME_MAX_BYTES, ControlMessage } from "@slipway/proto";

/** The other side broke the protocol: the connection is closed. */
export class ProtocolError extends Error {
  override readonly name: string = "ProtocolError";
}

/** It said more than anybody needs to: no connections with it for a while. */
export class FloodError extends ProtocolError {
  override readonly name = "FloodError";
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

/** A stranger may say so much at once: a hello. */
const STRANGER_MAX_BYTES = 4 * 1024;
const FIRST_BYTES = 1_024;

/**
 * Cuts the control stream's bytes, however they arrive, into messages. Holds one frame at most, in
 * at most twice as many bytes as have come of it.
 */
export class ControlDecoder {
  #maxBytes = STRANGER_MAX_BYTES;
  /** What has come of a frame, its length first, that is not complete. */
  #pending: Buffer = Buffer.alloc(0);
  #filled = 0;

  /** The other side is a member: its frames may be as long as any. */
  trust(): void {
    this.#maxBytes = CONTROL_FRAME_MAX_BYTES;
  }

  /** Throws ProtocolError for a frame that is too long, or holds no message that is known. */
  *push(data: Buffer): Generator<Control> {
    let rest = data;
    while (rest.length > 0) {
      // Complete frames are read where they are.
      const whole = this.#filled === 0 ? this.#frameLength(rest) : undefined;
      if (whole !== undefined && rest.length >= whole) {
        const body = rest.subarray(LENGTH_BYTES, whole);
        rest = rest.subarray(whole);
        yield decode(body);
        continue;
      }
      rest = rest.subarray(this.#take(rest));
      const length = this.#frameLength(this.#pending.subarray(0, this.#filled));
      if (length === undefined || this.#filled < length) continue;
      const body = this.#pending.subarray(LENGTH_BYTES, length);
      this.#pending = Buffer.alloc(0);
      this.#filled = 0;
      yield decode(body);
    }
  }

  /** Of the frame that begins here, with its header; undefined if that is not all here. */
  #frameLength(bytes: Buffer): number | undefined {
    if (bytes.length < LENGTH_BYTES) return undefined;
    const length = bytes.readUInt32BE(0);
    if (length > this.#maxBytes) throw new ProtocolError(`a frame of ${length} bytes`);
    return LENGTH_BYTES + length;
  }

  /** Adds to the frame that is not complete, but nothing of the next; returns how many bytes. */
  #take(bytes: Buffer): number {
    const length = this.#frameLength(this.#pending.subarray(0, this.#filled)) ?? LENGTH_BYTES;
    const taken = Math.min(bytes.length, length - this.#filled);
    const filled = this.#filled + taken;
    if (this.#pending.length < filled) {
      const grown = Buffer.allocUnsafe(Math.max(filled, FIRST_BYTES, 2 * this.#pending.length));
      this.#pending.copy(grown, 0, 0, this.#filled);
      this.#pending = grown;
    }
    bytes.copy(this.#pending, this.#filled, 0, taken);
    this.#filled = filled;
    return taken;
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
