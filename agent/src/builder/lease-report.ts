import {
  type Artifact,
  type BuildFailure,
  type Lease,
  LogSource,
  type WorkLogLine,
  WorkLogs,
  type WorkSaying,
} from "@slipway/proto";

/** Text in one batch, in bytes. */
const BATCH_BYTES = 256 * 1024;
/** A line waits no longer than this for others to fill its batch, in ms. */
const BATCH_DELAY_MS = 100;
/** Batches that are not acknowledged yet, and are in memory. */
const WINDOW = 8;
/** A coordinator takes no more lines in one message. */
const BATCH_LINES = 5000;
/** What is not answered by then, in ms, is said again. A coordinator tries 15 s to keep a batch. */
const REPEAT_LOG_MS = 20_000;
const REPEAT_RESULT_MS = 10_000;
const LINE_COST = 16;

export type LeaseResult =
  | {
      artifact: Artifact;
      /** A SignedProvenance; empty for none. */
      provenance: Buffer;
      failure?: undefined;
    }
  | { artifact?: undefined; failure: BuildFailure; retry: boolean };

/** Where batches wait that have no place in the window; first in, first out. */
export interface BatchSpool {
  readonly bytes: number;
  readonly isEmpty: boolean;
  /** Answers whether it was kept. */
  push(bytes: Uint8Array): boolean;
  /** Without its bytes if they can't be read any more. */
  shift(): { size: number; bytes: Uint8Array | undefined } | undefined;
  /** Throws away what it has. */
  close(): void;
}

interface Batch {
  message: WorkLogs;
  bytes: number;
  sentAt: number | undefined;
}

/**
 * What the coordinator has to hear of one lease: log lines in acknowledged batches, and how it ended.
 * The result waits for the log only for a moment; what is left of the log follows. Neither sends nor
 * has a clock: `take` says what to send now.
 */
export class LeaseReport {
  readonly #lease: Lease;
  readonly #spool: BatchSpool;
  #lines: { line: WorkLogLine; bytes: number; at: number }[] = [];
  #batches: Batch[] = [];
  #lastBatch = 0;
  /** Of batches that could not be kept, since the last one that could. */
  #missingBytes = 0;
  #result: LeaseResult | undefined;
  #graceMs = 0;
  #resultDue = 0;
  #resultSentAt: number | undefined;
  #accepted = false;
  /** The log's last batch is made. */
  #ended = false;
  #givenUp = false;
  #dropped = false;

  constructor(lease: Lease, spool: BatchSpool) {
    this.#lease = lease;
    this.#spool = spool;
  }

  /** Adds lines to the log. */
  add(lines: readonly WorkLogLine[], now: number): void {
    if (this.#dropped) return;
    for (const line of lines) {
      this.#lines.push({ line, bytes: Buffer.byteLength(line.text) + LINE_COST, at: now });
    }
    this.#cutBatches(now);
  }

  /** No line comes any more. The result waits for the log for so long. */
  finish(result: LeaseResult, now: number, graceMs: number): void {
    this.#result = result;
    this.#graceMs = graceMs;
    this.#resultDue = now + graceMs;
    // What was never worked on has no log, and none that could be whole.
    if (this.#lastBatch === 0 && this.#lines.length === 0) this.#ended = true;
  }

  get finished(): boolean {
    return this.#result !== undefined;
  }

  /** Another attempt is to be made. */
  get isPassedOn(): boolean {
    return this.#result?.failure !== undefined && this.#result.retry;
  }

  /** True once the result may be sent though log lines were not acknowledged. */
  isLogLate(now: number): boolean {
    return this.finished && this.#hasLog && now >= this.#resultDue;
  }

  /** The coordinator has the result. */
  accept(): void {
    this.#accepted = true;
  }

  /** Nothing is left to be said. */
  get isDone(): boolean {
    return this.#accepted && !this.#hasLog;
  }

  /** What is not acknowledged of the log, about. */
  get logBytes(): number {
    const bytes = [...this.#lines, ...this.#batches].reduce((sum, each) => sum + each.bytes, 0);
    return bytes + this.#spool.bytes + this.#missingBytes;
  }

  /** The messages to send now, in order. They count as sent. */
  take(now: number): WorkSaying[] {
    this.#cutBatches(now);
    // Another attempt has another log, and this lease takes no lines after its end.
    if (this.isPassedOn && this.isLogLate(now) && !this.#givenUp) {
      this.giveUp();
      this.#resultDue = now + this.#graceMs;
    }
    const messages: WorkSaying[] = [];
    for (const batch of this.#batches) {
      if (!isDue(batch.sentAt, now, REPEAT_LOG_MS)) continue;
      batch.sentAt = now;
      messages.push({ $case: "logs", value: batch.message });
    }
    const ready = this.finished && !this.#accepted && (!this.#hasLog || this.isLogLate(now));
    if (ready && isDue(this.#resultSentAt, now, REPEAT_RESULT_MS)) {
      this.#resultSentAt = now;
      messages.push(this.#resultMessage());
    }
    return messages;
  }

  /** A batch is in the log. */
  acknowledge(number: number): void {
    this.#batches = this.#batches.filter(({ message }) => message.batch !== number);
  }

  /** The stream is another one: everything that was not answered is to be sent again. */
  resend(): void {
    for (const batch of this.#batches) batch.sentAt = undefined;
    this.#resultSentAt = undefined;
  }

  get isGivenUp(): boolean {
    return this.#givenUp;
  }

  /** The log that is not acknowledged is not sent any more, but for a line that says so. */
  giveUp(): void {
    if (this.#givenUp) return;
    this.#givenUp = true;
    const missing = this.logBytes;
    if (missing === 0) return;
    this.#clear();
    this.#ended = true;
    const text = `up to ${missing} bytes of the log are missing at its end: they were not kept in time`;
    this.#addBatch([systemLine(text)], { last: true, givenUp: true });
  }

  /** Nobody wants to hear it any more. */
  drop(): void {
    this.#dropped = true;
    this.#clear();
    this.#ended = true;
  }

  get #hasLog(): boolean {
    const isOpen = this.finished && !this.#ended;
    return isOpen || this.#lines.length + this.#batches.length > 0 || !this.#spool.isEmpty;
  }

  get #hasRoom(): boolean {
    return this.#spool.isEmpty && this.#batches.length < WINDOW;
  }

  #clear(): void {
    this.#lines = [];
    this.#batches = [];
    this.#missingBytes = 0;
    this.#spool.close();
  }

  #cutBatches(now: number): void {
    while (this.#cutBatch(now));
    while (this.#batches.length < WINDOW) {
      const spooled = this.#spool.shift();
      if (spooled === undefined) return;
      const { size, bytes } = spooled;
      if (bytes === undefined) this.#missingBytes += size;
      else this.#batches.push({ message: WorkLogs.decode(bytes), bytes: size, sentAt: undefined });
    }
  }

  /** Makes a batch of lines that have waited long enough. Answers whether there may be another. */
  #cutBatch(now: number): boolean {
    if (this.#lines.length === 0 && (!this.finished || this.#ended)) return false;
    let bytes = 0;
    let count = 0;
    for (const line of this.#lines) {
      if (count === BATCH_LINES) break;
      if (count > 0 && bytes + line.bytes > BATCH_BYTES) break;
      bytes += line.bytes;
      count += 1;
    }
    const whole = count < this.#lines.length;
    const waited = now - (this.#lines[0]?.at ?? now) >= BATCH_DELAY_MS;
    if (!whole && !this.finished && !(waited && this.#hasRoom)) return false;
    const lines = this.#lines.splice(0, count).map(({ line }) => line);
    const last = this.finished && this.#lines.length === 0;
    this.#ended = last;
    this.#addBatch(lines, { last, givenUp: false });
    return !last;
  }

  #addBatch(lines: WorkLogLine[], how: { last: boolean; givenUp: boolean }): void {
    const bytes = lines.reduce((sum, { text }) => sum + Buffer.byteLength(text) + LINE_COST, 0);
    const missing = this.#missingBytes;
    const text = `${missing} bytes of the log are missing here: the builder could not keep them`;
    const all = missing === 0 ? lines : [systemLine(text), ...lines];
    this.#lastBatch += 1;
    const message: WorkLogs = { lease: this.#lease, lines: all, batch: this.#lastBatch, ...how };
    const isKept = !this.#hasRoom && this.#spool.push(WorkLogs.encode(message).finish());
    // The end is kept in any case: it says what is missing.
    if (this.#hasRoom || (how.last && !isKept)) {
      this.#batches.push({ message, bytes, sentAt: undefined });
    } else if (!isKept) {
      this.#missingBytes += bytes;
      return;
    }
    this.#missingBytes = 0;
  }

  #resultMessage(): WorkSaying {
    const lease = this.#lease;
    const result = this.#result;
    if (result?.failure === undefined) {
      const { artifact, provenance = Buffer.alloc(0) } = result ?? {};
      return { $case: "complete", value: { lease, artifact, provenance } };
    }
    const { failure, retry } = result;
    return { $case: "fail", value: { lease, failure, retry } };
  }
}

function systemLine(text: string): WorkLogLine {
  return { time: undefined, source: LogSource.SYSTEM, text };
}

function isDue(sentAt: number | undefined, now: number, repeatMs: number): boolean {
  return sentAt === undefined || now - sentAt >= repeatMs;
}
