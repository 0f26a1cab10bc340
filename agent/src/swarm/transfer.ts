import { Bitfield } from "../store/bitfield.js";
import { ArtifactDamagedError } from "../store/errors.js";
import type { ArtifactStore, ArtifactWrite } from "../store/types.js";
import { LocalCopier } from "./local-copier.js";
import type { FetchProgress, ReadableArtifact } from "./types.js";

const PROGRESS_MS = 250;

export interface TransferSteps {
  /** Bytes of the manifest, from the swarm. */
  fetchManifest: (digest: string, signal: AbortSignal) => Promise<Buffer>;
  /**
   * Gets all missing chunks written, until finish or fail is called; those in `except` only once
   * missing is called for them.
   */
  begin: (transfer: Transfer, write: ArtifactWrite, except: ReadonlySet<number>) => void;
  /** A chunk was copied from what is here. */
  found: (transfer: Transfer, chunk: number) => void;
  missing: (digest: string, chunk: number) => void;
  /** Bytes of an artifact that is here, whole, turned out wrong. */
  damaged: (digest: string) => void;
  /** Chunks are not wanted any more, or all here. */
  end: (digest: string) => void;
  /** It can be opened in its store now. */
  completed: (digest: string) => void;
  onLocalBytes: (bytes: number) => void;
}

/** One artifact on its way into a store, for everybody who fetches it. */
export class Transfer {
  readonly digest: string;
  readonly progress: FetchProgress = {
    bytesDone: 0,
    total: 0,
    fromPeers: 0,
    fromSeeders: 0,
    fromLocal: 0,
    fromReuse: 0,
  };
  /** Settles when it is complete or given up, and everything is closed. */
  readonly done: Promise<void>;
  users = 0;
  #ended = false;
  /** Called when `done` has settled. */
  readonly #wakers = new Set<() => void>();
  #write: ArtifactWrite | undefined;
  #copier: LocalCopier | undefined;
  /** Chunks that are in the progress: one may come from two places. */
  #counted = new Bitfield(0);
  readonly #store: ArtifactStore;
  readonly #steps: TransferSteps;
  readonly #stop = new AbortController();
  #finish = (): void => {};
  #fail = (_error: unknown): void => {};

  constructor(digest: string, store: ArtifactStore, steps: TransferSteps) {
    this.digest = digest;
    this.#store = store;
    this.#steps = steps;
    this.done = this.#run();
    // Those who fetch it hear of a failure; nobody may be left who does.
    const end = (): void => {
      this.#ended = true;
      for (const wake of this.#wakers) wake();
    };
    this.done.then(end, end);
  }

  get stopping(): boolean {
    return this.#stop.signal.aborted;
  }

  get write(): ArtifactWrite {
    if (this.#write === undefined) throw new Error("the transfer has no manifest yet");
    return this.#write;
  }

  /** Progress now and then, the last when it is complete. Throws the signal's reason, or its own. */
  async *watch(signal: AbortSignal): AsyncGenerator<FetchProgress, void, void> {
    while (!this.#ended) {
      await this.#beat(signal);
      if (!this.#ended) yield { ...this.progress };
    }
    await this.done;
    yield { ...this.progress };
  }

  /** All chunks are here. */
  finish(): void {
    this.#finish();
  }

  fail(error: unknown): void {
    this.#fail(error);
    this.stop(error);
  }

  /** What is here stays, for another time. */
  stop(reason: unknown): void {
    this.#stop.abort(reason);
  }

  /** A chunk was written. Its bytes, or 0 if they were counted before. */
  count(chunk: number, from: "peer" | "seeder" | "reuse"): number {
    if (!this.#counted.set(chunk)) return 0;
    const bytes = this.write.manifest.sizeOf(chunk);
    this.progress.bytesDone += bytes;
    if (from === "seeder") this.progress.fromSeeders += bytes;
    else if (from === "peer") this.progress.fromPeers += bytes;
    else this.progress.fromReuse += bytes;
    return bytes;
  }

  /** A chunk was fetched and written: others with the same bytes are copied from it. */
  arrived(chunk: number): void {
    this.#copier?.arrived(chunk);
  }

  /** Waits until it ended or the signal is aborted, at most PROGRESS_MS. */
  async #beat(signal: AbortSignal): Promise<void> {
    const cleanUp: (() => void)[] = [];
    await new Promise<void>((resolve) => {
      const wake = (): void => resolve();
      const timer = setTimeout(wake, PROGRESS_MS);
      signal.addEventListener("abort", wake);
      this.#wakers.add(wake);
      cleanUp.push(
        () => clearTimeout(timer),
        () => signal.removeEventListener("abort", wake),
        () => this.#wakers.delete(wake),
      );
      if (this.#ended || signal.aborted) wake();
    });
    for (const undo of cleanUp) undo();
    signal.throwIfAborted();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    if (await this.#isHere()) return;
    const manifest =
      (await this.#store.readManifest(this.digest)) ??
      (await this.#steps.fetchManifest(this.digest, signal));
    signal.throwIfAborted();
    const write = await this.#store.begin(manifest);
    this.#write = write;
    this.#counted = write.have.copy();
    try {
      this.#startWith(write.bytesDone, write.manifest.sizeBytes);
      const copier = await this.#localCopier(write);
      this.#copier = copier;
      await this.#chunks(write, copier, signal);
      await copier.stop();
      await write.complete();
    } finally {
      this.#steps.end(this.digest);
      await this.#copier?.stop();
      await write.close();
    }
    this.#steps.completed(this.digest);
  }

  async #localCopier(write: ArtifactWrite): Promise<LocalCopier> {
    const steps = this.#steps;
    const copies = await write.findCopies((digest) => steps.damaged(digest));
    return new LocalCopier(copies, {
      found: (chunk) => steps.found(this, chunk),
      missing: (chunk) => steps.missing(this.digest, chunk),
      failed: (error) => this.fail(error),
    });
  }

  #chunks(write: ArtifactWrite, copier: LocalCopier, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      signal.addEventListener("abort", () => reject(signal.reason as Error));
      this.#finish = resolve;
      this.#fail = reject;
      this.#steps.begin(this, write, copier.chunks);
      copier.start();
      if (write.have.full) resolve();
    });
  }

  async #isHere(): Promise<boolean> {
    const artifact = await this.#open();
    if (artifact === undefined) return false;
    this.#startWith(artifact.sizeBytes, artifact.sizeBytes);
    await artifact.close();
    return true;
  }

  /** Undefined, too, for a copy that is seen to be damaged; it is removed. */
  async #open(): Promise<ReadableArtifact | undefined> {
    try {
      const artifact = await this.#store.open(this.digest);
      if (artifact !== undefined || (await this.#store.path(this.digest)) === undefined) {
        return artifact;
      }
    } catch (error) {
      if (!(error instanceof ArtifactDamagedError)) throw error;
    }
    return (await this.#store.verify(this.digest)) ? this.#store.open(this.digest) : undefined;
  }

  #startWith(bytes: number, total: number): void {
    Object.assign(this.progress, { bytesDone: bytes, fromLocal: bytes, total });
    this.#steps.onLocalBytes(bytes);
  }
}
