/** What a watcher is sent: a WatchDeploymentResponse, encoded once for all watchers. */
export interface Update {
  bytes: Buffer;
  /** Of the stored deployment. */
  revision: number;
  final: boolean;
}

/** Where a watcher's bytes go. */
export interface Outlet {
  /** Whether it reads: else what is sent would only pile up. */
  readonly hasRoom: boolean;
  send(bytes: Buffer): void;
  /** Called when there is room again. */
  onRoom: () => void;
}

/**
 * One who watches a deployment: is sent each update at once while it reads, and the newest when it
 * reads again. Without a wait for each update: of thousands who wait for the next one, each would
 * leave what it waited with behind, as garbage that has become old.
 */
export class Watcher {
  readonly #out: Outlet;
  readonly #afterRevision: number;
  /** What it has, or has before anything else is sent. */
  #newest: Update | undefined;
  #isHeld = false;
  #isOver = false;
  /** Resolves when it has been sent the final state. Rejects with the signal's reason, or fail's. */
  readonly ended: Promise<void>;
  #settle: (error?: Error) => void = () => undefined;

  /**
   * @param afterRevision what it has already: the first update is not sent if it is of this revision;
   * a later one of the same has other counts. 0 for nothing.
   */
  constructor(out: Outlet, afterRevision: number, signal: AbortSignal) {
    this.#out = out;
    this.#afterRevision = afterRevision;
    out.onRoom = () => this.#isHeld && this.#send();
    this.ended = new Promise((resolve, reject) => {
      this.#settle = (error) => {
        this.#isOver = true;
        if (error === undefined) resolve();
        else reject(error);
      };
    });
    const abort = (): void => this.fail(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  }

  tell(update: Update): void {
    // Who came while the others were told had it as the present state.
    if (update === this.#newest) return;
    const isFirst = this.#newest === undefined;
    this.#newest = update;
    if (isFirst && update.revision === this.#afterRevision) {
      if (update.final) this.#settle();
    } else if (this.#out.hasRoom) this.#send();
    else this.#isHeld = true;
  }

  /** Nothing is sent any more. */
  fail(error: Error): void {
    this.#settle(error);
  }

  #send(): void {
    this.#isHeld = false;
    if (this.#newest === undefined || this.#isOver) return;
    this.#out.send(this.#newest.bytes);
    if (this.#newest.final) this.#settle();
  }
}
