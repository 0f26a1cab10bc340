import { randomFillSync } from "node:crypto";

const ENTROPY_BYTES = 4_096;
/** Asked of the system for many at once: each time costs more than all the rest. */
const entropy = Buffer.alloc(ENTROPY_BYTES);
let used = ENTROPY_BYTES;
let lastMs = 0;
let counter = 0;

/**
 * A UUID of version 7: sorts by time, and within this process by order of making (RFC 9562,
 * method 1: a 12-bit counter that runs over into the next millisecond).
 */
export function uuidv7(nowMs: number = Date.now()): string {
  if (used === ENTROPY_BYTES) {
    randomFillSync(entropy);
    used = 0;
  }
  const bytes = entropy.subarray(used, (used += 16));
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = bytes.readUInt16BE(6) & 0x7ff;
  } else if (++counter > 0xfff) {
    lastMs += 1;
    counter = 0;
  }
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | counter, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
