/** Does something in the background, once for all who ask while it has not begun. */
export class Soon {
  readonly #run: () => Promise<unknown>;
  readonly #failed: (error: unknown) => void;
  #running: Promise<unknown> = Promise.resolve();
  /** It is going to be done anew after what is under way. */
  #waits = false;

  constructor(run: () => Promise<unknown>, failed: (error: unknown) => void) {
    this.#run = run;
    this.#failed = failed;
  }

  ask(): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#running = this.#running
      .then(() => {
        this.#waits = false;
        return this.#run();
      })
      .catch(this.#failed);
  }
}
