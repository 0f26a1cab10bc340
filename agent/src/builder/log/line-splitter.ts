import { LOG_LINE_MAX_BYTES } from "@slipway/proto";

const NEWLINE = 10;

/**
 * Cuts a stream of bytes into lines of text: without newline or carriage return, bad UTF-8
 * replaced, at most LOG_LINE_MAX_BYTES each, longer ones split between characters.
 */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** The lines that end in this chunk, or were too long to wait for. */
  push(chunk: Buffer): string[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const end = bytes.lastIndexOf(NEWLINE);
    const lines: string[] = [];
    if (end !== -1) {
      // No byte of a multi-byte character is a newline, so whole lines decode on their own.
      for (const line of bytes.toString("utf8", 0, end).split("\n")) {
        appendLine(lines, line.endsWith("\r") ? line.slice(0, -1) : line);
      }
    }
    let rest = bytes.subarray(end + 1);
    while (rest.length > LOG_LINE_MAX_BYTES) {
      const cut = boundary(rest, LOG_LINE_MAX_BYTES);
      appendLine(lines, rest.toString("utf8", 0, cut));
      rest = rest.subarray(cut);
    }
    // A copy, so that a few bytes do not keep a whole read buffer.
    this.#rest = Buffer.from(rest);
    return lines;
  }

  /** The last line, if the stream ended without a newline. */
  flush(): string[] {
    if (this.#rest.length === 0) return [];
    const lines: string[] = [];
    appendLine(lines, this.#rest.toString("utf8"));
    this.#rest = Buffer.alloc(0);
    return lines;
  }
}

function appendLine(lines: string[], line: string): void {
  // A UTF-16 unit takes at most three bytes of UTF-8.
  if (line.length * 3 <= LOG_LINE_MAX_BYTES || Buffer.byteLength(line) <= LOG_LINE_MAX_BYTES) {
    lines.push(line);
    return;
  }
  let bytes = Buffer.from(line);
  while (bytes.length > 0) {
    const cut = boundary(bytes, LOG_LINE_MAX_BYTES);
    lines.push(bytes.toString("utf8", 0, cut));
    bytes = bytes.subarray(cut);
  }
}

/** The most bytes up to a limit that do not end inside a character. */
function boundary(bytes: Buffer, limit: number): number {
  if (bytes.length <= limit) return bytes.length;
  for (let cut = limit; cut > limit - 4; cut--) {
    if (((bytes[cut] ?? 0) & 0xc0) !== 0x80) return cut;
  }
  return limit;
}
