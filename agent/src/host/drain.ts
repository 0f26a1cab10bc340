import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../log.js";
import { runHook } from "./hooks.js";
import type { LogFile } from "./log-file.js";
import type { Launch } from "./release-process.js";

/**
 * A release that was told to stop, and has not been sent SIGTERM. It ends when its command is done
 * and its time has passed, or when the release has ended by itself.
 */
export class Drain {
  readonly #controller = new AbortController();
  readonly #done: Promise<void>;

  constructor(launch: Launch, exited: Promise<unknown>, parts: { logFile: LogFile; log: Logger }) {
    this.#done = this.#run(launch, exited, parts).catch((error: unknown) => {
      if (!this.#controller.signal.aborted) parts.log.error({ err: error }, "drain failed");
    });
  }

  /** Waits for its end. @throws the signal's reason; the drain goes on. */
  async wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const waiting = new AbortController();
    const aborted = once(signal, "abort", { signal: waiting.signal }).then(() => {
      throw signal.reason as Error;
    });
    try {
      await Promise.race([this.#done, aborted]);
    } finally {
      waiting.abort();
      await aborted.catch(() => undefined);
    }
  }

  /** Ends it at once. */
  stop(): void {
    this.#controller.abort();
  }

  async #run(
    launch: Launch,
    exited: Promise<unknown>,
    { logFile, log }: { logFile: LogFile; log: Logger },
  ): Promise<void> {
    const { signal } = this.#controller;
    const { timeMs, hook } = launch.drain;
    const ended = exited.then(
      () => this.stop(),
      () => undefined,
    );
    const command = async (): Promise<void> => {
      const failure = hook && (await runHook("drain", hook, { launch, logFile, signal }));
      if (failure !== undefined) log.warn({ release: launch.release, failure }, "drain failed");
    };
    const whole = Promise.all([command(), delay(timeMs, undefined, { signal })]);
    await Promise.race([whole, ended]);
    await whole;
  }
}
