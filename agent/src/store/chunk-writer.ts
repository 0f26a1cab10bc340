import path from "node:path";
import { Worker } from "node:worker_threads";
import { type ChunkJob, runChunkJob } from "./chunk-job.js";
import type { WorkerReply, WorkerRequest } from "./chunk-worker.js";
import { ChunkWriterError } from "./errors.js";

/**
 * More bytes than this within so long are worth the thread. Of fewer, the messages to it and back
 * cost more processor time than the work itself: 0.5 s a GB of chunks of 256 KiB.
 */
const BUSY_BYTES = 8 * 1024 * 1024;
const BUSY_MS = 100;

/** The thread only passes buffers on: its heap stays small. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 };

interface Waiting {
  resolve: (right: boolean) => void;
  reject: (error: Error) => void;
}

/**
 * A thread that verifies and writes chunks, for when many come. It is started when it is first
 * needed, and again after it died; until it is up, and when few come, they are done on the calling
 * thread. It keeps the process alive only while something waits for it.
 */
export class ChunkWriter {
  #worker: Worker | undefined;
  /** The worker has said so. */
  #ready = false;
  /** Sent to the worker, or about to be. */
  readonly #waiting = new Map<number, Waiting>();
  #unsent: WorkerRequest = [];
  #nextId = 0;
  #closed = false;
  #since = -Infinity;
  #bytes = 0;
  #bytesBefore = 0;
  readonly #startThread: () => Worker;
  readonly #busyBytes: number;

  constructor(start: () => Worker = startThread, busyBytes: number = BUSY_BYTES) {
    this.#startThread = start;
    this.#busyBytes = busyBytes;
  }

  /**
   * Whether the bytes were the right ones, and so were written; they are not to be touched before.
   * Bytes of a SharedArrayBuffer are not copied. Throws ChunkWriterError and what writing throws.
   */
  run(job: ChunkJob, now: number = performance.now()): Promise<boolean> {
    const busy = this.#isBusy(job.bytes.length, now);
    if (busy && !this.#closed) this.#worker ??= this.#start();
    if (!busy || !this.#ready) return this.#runHere(job);
    const id = this.#nextId++;
    // One message for all that comes in a turn of the event loop.
    if (this.#unsent.length === 0) setImmediate(() => this.#send());
    this.#unsent.push({ id, job: { ...job, bytes: shared(job.bytes) } });
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  async #runHere(job: ChunkJob): Promise<boolean> {
    if (this.#closed) throw new ChunkWriterError("the artifact store is closed");
    return runChunkJob(job);
  }

  /** Whoever still waits is told so. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#fail(worker, new ChunkWriterError("the artifact store was closed"));
    await worker?.terminate();
  }

  /** In the present stretch of time, or the one before. */
  #isBusy(bytes: number, now: number): boolean {
    if (now - this.#since >= BUSY_MS) {
      this.#bytesBefore = now - this.#since < 2 * BUSY_MS ? this.#bytes : 0;
      this.#bytes = 0;
      this.#since = now;
    }
    this.#bytes += bytes;
    return Math.max(this.#bytes, this.#bytesBefore) >= this.#busyBytes;
  }

  #send(): void {
    if (this.#worker === undefined || this.#unsent.length === 0) return;
    this.#worker.ref();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- not a window
    this.#worker.postMessage(this.#unsent);
    this.#unsent = [];
  }

  #start(): Worker {
    const worker = this.#startThread();
    worker.unref();
    worker.on("message", (reply: WorkerReply) => this.#receive(worker, reply));
    worker.on("error", (cause) => {
      this.#fail(worker, new ChunkWriterError("the thread that writes chunks failed", { cause }));
    });
    worker.on("exit", (code) => {
      this.#fail(worker, new ChunkWriterError(`the thread that writes chunks ended with ${code}`));
    });
    return worker;
  }

  #receive(worker: Worker, reply: WorkerReply): void {
    if (this.#worker !== worker) return;
    this.#ready = true;
    for (const result of reply) {
      const waiting = this.#waiting.get(result.id);
      this.#waiting.delete(result.id);
      if (result.kind === "done") waiting?.resolve(result.right);
      else waiting?.reject(Object.assign(new Error(result.message), { code: result.code }));
    }
    if (this.#waiting.size === 0) worker.unref();
  }

  /** What it was told is lost; the next job gets a new thread. */
  #fail(worker: Worker | undefined, error: ChunkWriterError): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#ready = false;
    this.#unsent = [];
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }
}

function shared(bytes: ChunkJob["bytes"]): ChunkJob["bytes"] {
  if (!(bytes instanceof Uint8Array)) return bytes;
  if (bytes.buffer instanceof SharedArrayBuffer) {
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  copy.set(bytes);
  return copy;
}

/** The thread itself. */
export function startThread(): Worker {
  const extension = path.extname(import.meta.url);
  const script = new URL(`./chunk-worker${extension}`, import.meta.url);
  const options = { name: "chunk-writer", resourceLimits: RESOURCE_LIMITS };
  if (extension !== ".ts") return new Worker(script, options);
  // Node hands no loader of TypeScript on to its threads: run from sources, it is set up anew.
  const program = `import("tsx/esm/api").then((tsx) => tsx.register() && import("${script.href}"))`;
  return new Worker(program, { ...options, eval: true });
}
