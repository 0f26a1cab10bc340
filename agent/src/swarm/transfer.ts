import type { ArtifactStore, ArtifactWrite } from "../store/types.js";
import type { FetchProgress } from "./types.js";

const PROGRESS_MS = 250;

export interface TransferSteps {
  /** Bytes of the manifest, from the swarm. */
  fetchManifest: (digest: string, signal: AbortSignal) => Promise<Buffer>;
  /** Gets all missing chunks written; until finish or fail is called. */
  begin: (transfer: Transfer, write: ArtifactWrite) => void;
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
  };
  /** Settles when it is complete or given up, and everything is closed. */
  readonly done: Promise<void>;
  users = 0;
  #ended = false;
  /** Called when `done` has settled. */
  readonly #wakers = new Set<() => void>();
  #write: ArtifactWrite | undefined;
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

  count(bytes: number, seeder: boolean): void {
    this.progress.bytesDone += bytes;
    if (seeder) this.progress.fromSeeders += bytes;
    else this.progress.fromPeers += bytes;
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
    try {
      this.#startWith(write.bytesDone, write.manifest.sizeBytes);
      await this.#chunks(write, signal);
      await write.complete();
    } finally {
      this.#steps.end(this.digest);
      await write.close();
    }
    this.#steps.completed(this.digest);
  }

  #chunks(write: ArtifactWrite, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      signal.addEventListener("abort", () => reject(signal.reason as Error));
      this.#finish = resolve;
      this.#fail = reject;
      this.#steps.begin(this, write);
      if (write.have.full) resolve();
    });
  }

  async #isHere(): Promise<boolean> {
    const artifact = await this.#store.open(this.digest);
    if (artifact === undefined) return false;
    this.#startWith(artifact.sizeBytes, artifact.sizeBytes);
    await artifact.close();
    return true;
  }

  #startWith(bytes: number, total: number): void {
    Object.assign(this.progress, { bytesDone: bytes, fromLocal: bytes, total });
    this.#steps.onLocalBytes(bytes);
  }
}
