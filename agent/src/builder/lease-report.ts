import {
  type Artifact,
  type BuildFailure,
  type Lease,
  type WorkLogLine,
  type WorkRequest,
} from "@slipway/proto";

/** Text in one batch, in bytes. */
const BATCH_BYTES = 256 * 1024;
/** A line waits no longer than this for others to fill its batch, in ms. */
const BATCH_DELAY_MS = 100;
/** Batches that are not acknowledged yet. */
const WINDOW = 8;
/** From so many bytes on, the build's output is held back. */
const FULL_BYTES = WINDOW * BATCH_BYTES;
/** A coordinator takes no more lines in one message. */
const BATCH_LINES = 5000;
/** What is not answered by then, in ms, is said again. A coordinator tries 15 s to keep a batch. */
const REPEAT_LOG_MS = 20_000;
const REPEAT_RESULT_MS = 10_000;
const LINE_COST = 16;

export type LeaseResult =
  | { artifact: Artifact; failure?: undefined }
  | { artifact?: undefined; failure: BuildFailure; retry: boolean };

interface Batch {
  number: number;
  lines: WorkLogLine[];
  bytes: number;
  sentAt: number | undefined;
}

/**
 * What the coordinator has to hear of one lease: log lines in acknowledged batches, then how it
 * ended. Neither sends nor has a clock: `take` says what to send now.
 */
export class LeaseReport {
  readonly #lease: Lease;
  #lines: { line: WorkLogLine; bytes: number; at: number }[] = [];
  #batches: Batch[] = [];
  #lastBatch = 0;
  /** Of all lines that are kept here. */
  #bytes = 0;
  #result: LeaseResult | undefined;
  #resultDue = 0;
  #resultSentAt: number | undefined;
  #dropped = false;
  #drained: Deferred | undefined;

  constructor(lease: Lease) {
    this.#lease = lease;
  }

  /** Adds lines to the log. */
  add(lines: readonly WorkLogLine[], now: number): void {
    if (this.#dropped) return;
    for (const line of lines) {
      const bytes = Buffer.byteLength(line.text) + LINE_COST;
      this.#lines.push({ line, bytes, at: now });
      this.#bytes += bytes;
    }
  }

  /** Resolves when there is room for more lines; undefined if there is. */
  get room(): Promise<void> | undefined {
    if (this.#bytes < FULL_BYTES) return undefined;
    this.#drained ??= deferred();
    return this.#drained.promise;
  }

  /** No line comes any more. The result waits for the log to be acknowledged, but no longer than that. */
  finish(result: LeaseResult, now: number, logFlushTimeoutMs: number): void {
    this.#result = result;
    this.#resultDue = now + logFlushTimeoutMs;
  }

  get finished(): boolean {
    return this.#result !== undefined;
  }

  /** True once the result may be sent though log lines were not acknowledged. */
  isLogLate(now: number): boolean {
    return this.finished && this.#hasLog && now >= this.#resultDue;
  }

  /** The messages to send now, in order. They count as sent. */
  take(now: number): WorkRequest[] {
    this.#cutBatches(now);
    const messages: WorkRequest[] = [];
    for (const batch of this.#batches) {
      if (!isDue(batch.sentAt, now, REPEAT_LOG_MS)) continue;
      batch.sentAt = now;
      const value = { lease: this.#lease, lines: batch.lines, batch: batch.number };
      messages.push({ message: { $case: "logs", value } });
    }
    const ready = this.finished && (!this.#hasLog || this.isLogLate(now));
    if (ready && isDue(this.#resultSentAt, now, REPEAT_RESULT_MS)) {
      this.#resultSentAt = now;
      messages.push(this.#resultMessage());
    }
    return messages;
  }

  /** A batch is in the log. */
  acknowledge(number: number): void {
    const batch = this.#batches.find((each) => each.number === number);
    if (batch === undefined) return;
    this.#batches = this.#batches.filter((each) => each !== batch);
    this.#bytes -= batch.bytes;
    if (this.#bytes < FULL_BYTES) this.#release();
  }

  /** The stream is another one: everything that was not answered is to be sent again. */
  resend(): void {
    for (const batch of this.#batches) batch.sentAt = undefined;
    this.#resultSentAt = undefined;
  }

  /** Nobody wants to hear it any more. */
  drop(): void {
    this.#dropped = true;
    this.#lines = [];
    this.#batches = [];
    this.#bytes = 0;
    this.#release();
  }

  get #hasLog(): boolean {
    return this.#lines.length > 0 || this.#batches.length > 0;
  }

  #cutBatches(now: number): void {
    while (this.#batches.length < WINDOW && this.#lines.length > 0) {
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
      if (!whole && !waited && !this.finished) return;
      const lines = this.#lines.slice(0, count).map(({ line }) => line);
      this.#lines = this.#lines.slice(count);
      this.#lastBatch += 1;
      this.#batches.push({ number: this.#lastBatch, lines, bytes, sentAt: undefined });
    }
  }

  #resultMessage(): WorkRequest {
    const lease = this.#lease;
    const result = this.#result;
    if (result?.failure === undefined) {
      return { message: { $case: "complete", value: { lease, artifact: result?.artifact } } };
    }
    const { failure, retry } = result;
    return { message: { $case: "fail", value: { lease, failure, retry } } };
  }

  #release(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}

interface Deferred {
  promise: Promise<void>;
  resolve: () => void;
}

function deferred(): Deferred {
  const made: Partial<Deferred> = {};
  const promise = new Promise<void>((resolve) => {
    made.resolve = resolve;
  });
  return { promise, resolve: () => made.resolve?.() };
}

function isDue(sentAt: number | undefined, now: number, repeatMs: number): boolean {
  return sentAt === undefined || now - sentAt >= repeatMs;
}
