import { LOG_LINE_MAX_BYTES, type LogLine } from "@slipway/proto";

/** Lines of one message, at most; their sequences leave room for more (see sequence.ts). */
const MESSAGE_MAX_LINES = 1_000;
/** Text of one message, at most, in bytes: NATS takes 1 MiB with everything. */
export const MESSAGE_MAX_BYTES = 512 * 1024;
/** What a line takes beside its text, at most. */
const LINE_OVERHEAD_BYTES = 40;

/** Cuts a line's text into pieces of at most LOG_LINE_MAX_BYTES, never inside a character. */
export function splitText(text: string, maxBytes: number = LOG_LINE_MAX_BYTES): string[] {
  if (text.length * 3 <= maxBytes) return [text];
  const bytes = Buffer.from(text);
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length;) {
    let end = Math.min(start + maxBytes, bytes.length);
    // 10xxxxxx is the inside of a character.
    while (end < bytes.length && end > start && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
    pieces.push(bytes.toString("utf8", start, end));
    start = end;
  }
  return pieces.length === 0 ? [""] : pieces;
}

/** Groups lines into messages that the stream takes, in order. */
export function packLines(lines: readonly LogLine[]): LogLine[][] {
  const messages: LogLine[][] = [];
  let current: LogLine[] = [];
  let bytes = 0;
  for (const line of lines) {
    for (const text of splitText(line.text)) {
      const size = Buffer.byteLength(text) + LINE_OVERHEAD_BYTES;
      if (current.length === MESSAGE_MAX_LINES || bytes + size > MESSAGE_MAX_BYTES) {
        messages.push(current);
        current = [];
        bytes = 0;
      }
      current.push({ ...line, text });
      bytes += size;
    }
  }
  if (current.length > 0) messages.push(current);
  return messages;
}
