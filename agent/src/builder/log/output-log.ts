import { LogSource, type WorkLogLine } from "@slipway/proto";
import { LineSplitter } from "./line-splitter.js";

const NEWLINE = 10;
/** What a line costs beside its bytes: so that millions of empty lines are bounded too. */
const LINE_COST = 16;
/** Small pieces of the tail are joined up to this size, in bytes. */
const JOIN_BYTES = 16 * 1024;

export type OutputSource = LogSource.STDOUT | LogSource.STDERR;

export interface OutputLimits {
  /** Bytes of output that are passed on as they come. */
  headBytes: number;
  /** Bytes of output after that of which the last are kept, for the end. */
  tailBytes: number;
}

interface Piece {
  source: OutputSource;
  time: Date;
  bytes: Buffer;
}

/**
 * A build's output as bounded log lines: the first part as it comes, then nothing until the end,
 * then how much was left out and the last part. Past the first part it costs little, so that a
 * command which prints without end is not held up.
 */
export class OutputLog {
  readonly #limits: OutputLimits;
  readonly #splitters = {
    [LogSource.STDOUT]: new LineSplitter(),
    [LogSource.STDERR]: new LineSplitter(),
  };
  #headCost = 0;
  #tail: Piece[] = [];
  #tailStart = 0;
  #tailBytes = 0;
  #droppedBytes = 0;
  #droppedLines = 0;
  /** Whose dropped output ended inside a line. */
  readonly #cutInside = new Map<OutputSource, boolean>();

  constructor(limits: OutputLimits) {
    this.#limits = limits;
  }

  /** Takes output; returns the lines to pass on now. Keeps no reference to the chunk. */
  push(source: OutputSource, chunk: Buffer, time: Date): WorkLogLine[] {
    if (this.#headCost < this.#limits.headBytes) {
      const lines = toLines(source, time, this.#splitters[source].push(chunk));
      this.#headCost += chunk.length + lines.length * LINE_COST;
      return lines;
    }
    this.#keep({ source, time, bytes: Buffer.from(chunk) });
    return [];
  }

  /** The output has ended: the lines that are left. */
  finish(time: Date): WorkLogLine[] {
    const lines: WorkLogLine[] = [];
    const tail = this.#tail.slice(this.#tailStart);
    if (this.#droppedBytes > 0) {
      for (const source of this.#cutInside.keys()) lines.push(...this.#flush(source, time));
      this.#startAtLines(tail);
      lines.push({ time, source: LogSource.SYSTEM, text: this.#notice() });
    }
    for (const { source, time: at, bytes } of tail) {
      lines.push(...toLines(source, at, this.#splitters[source].push(bytes)));
    }
    lines.push(...this.#flush(LogSource.STDOUT, time), ...this.#flush(LogSource.STDERR, time));
    this.#tail = [];
    return lines;
  }

  #keep(piece: Piece): void {
    const last = this.#tail.at(-1);
    if (last?.source === piece.source && last.bytes.length + piece.bytes.length <= JOIN_BYTES) {
      last.bytes = Buffer.concat([last.bytes, piece.bytes]);
    } else {
      this.#tail.push(piece);
    }
    this.#tailBytes += piece.bytes.length;
    for (;;) {
      const first = this.#tail[this.#tailStart];
      if (first === undefined || this.#tailBytes - first.bytes.length < this.#limits.tailBytes)
        break;
      this.#drop(first.source, first.bytes);
      this.#tailBytes -= first.bytes.length;
      this.#tailStart += 1;
    }
    if (this.#tailStart > 64 && this.#tailStart * 2 > this.#tail.length) {
      this.#tail = this.#tail.slice(this.#tailStart);
      this.#tailStart = 0;
    }
  }

  #drop(source: OutputSource, bytes: Buffer): void {
    this.#droppedBytes += bytes.length;
    for (const byte of bytes) if (byte === NEWLINE) this.#droppedLines += 1;
    this.#cutInside.set(source, bytes[bytes.length - 1] !== NEWLINE);
  }

  /** Drops the ends of lines whose starts were dropped. */
  #startAtLines(tail: Piece[]): void {
    for (const [source, inside] of this.#cutInside) {
      const first = tail.find((piece) => piece.source === source);
      if (!inside || first === undefined) continue;
      let cut = first.bytes.indexOf(NEWLINE) + 1;
      // One line larger than the tail: start at a character at least.
      if (cut === 0) while (((first.bytes[cut] ?? 0) & 0xc0) === 0x80) cut += 1;
      this.#drop(source, first.bytes.subarray(0, cut));
      first.bytes = first.bytes.subarray(cut);
    }
  }

  #flush(source: OutputSource, time: Date): WorkLogLine[] {
    return toLines(source, time, this.#splitters[source].flush());
  }

  #notice(): string {
    const { headBytes, tailBytes } = this.#limits;
    return (
      `left out here: ${this.#droppedLines} lines, ${this.#droppedBytes} bytes of output; ` +
      `a build's log keeps about the first ${headBytes} and the last ${tailBytes} bytes`
    );
  }
}

function toLines(source: LogSource, time: Date, texts: string[]): WorkLogLine[] {
  return texts.map((text) => ({ time, source, text }));
}
