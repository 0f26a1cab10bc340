import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../log.js";
import { checkRelease } from "./check-release.js";
import type { ResolvedRelease } from "./launch.js";
import type { Supervisor } from "./supervisor.js";
import { steadyNow } from "../steady-now.js";

/** So many bad answers in a row are not by chance. */
const BAD_IN_A_ROW = 3;
/** A release that is healthy is not asked more often, whatever its interval says. */
const MIN_INTERVAL_MS = 1_000;

interface HealthWatchOptions {
  supervisor: Supervisor;
  log: Logger;
  /** It has become bad, or good again. */
  onTurn: () => void;
}

/**
 * Goes on checking a release that was healthy, one check at a time. One that stays bad for as long
 * as it had to become healthy is started anew.
 */
export class HealthWatch {
  readonly #options: HealthWatchOptions;
  #controller = new AbortController();
  #answer: string | undefined;
  #bad = 0;

  constructor(options: HealthWatchOptions) {
    this.#options = options;
  }

  /** What is wrong, since at least three checks. */
  get trouble(): string | undefined {
    return this.#bad >= BAD_IN_A_ROW ? this.#answer : undefined;
  }

  /** Watches a release from now on, and no other. */
  start(release: ResolvedRelease): void {
    this.stop();
    const controller = new AbortController();
    this.#controller = controller;
    this.#run(release, controller.signal).catch((error: unknown) => {
      if (!controller.signal.aborted) {
        this.#options.log.error({ err: error }, "a release's health can no longer be watched");
      }
    });
  }

  stop(): void {
    this.#controller.abort();
    this.#bad = 0;
    this.#answer = undefined;
  }

  async #run({ launch, check }: ResolvedRelease, signal: AbortSignal): Promise<void> {
    const { kind } = check;
    if (kind.kind === "running") return;
    const { supervisor, log } = this.#options;
    const intervalMs = Math.max(MIN_INTERVAL_MS, check.intervalMs);
    let badSince: number | undefined;
    for (;;) {
      await delay(intervalMs, undefined, { signal, ref: false });
      // Between two runs, or on its way out, there is nobody to be asked.
      if (!supervisor.isUp || supervisor.isDrained) {
        badSince = undefined;
        continue;
      }
      const { exits } = supervisor;
      const answer = await checkRelease(launch, kind, { timeoutMs: check.timeoutMs, signal });
      signal.throwIfAborted();
      if (answer !== undefined && supervisor.exits !== exits) continue;
      this.#note(answer);
      if (answer === undefined) badSince = undefined;
      else badSince ??= steadyNow();
      if (badSince === undefined || this.#bad < BAD_IN_A_ROW) continue;
      if (steadyNow() - badSince < check.deadlineMs) continue;
      badSince = undefined;
      log.warn({ release: launch.release, answer }, "release is bad for too long: started anew");
      await supervisor.restart();
    }
  }

  #note(answer: string | undefined): void {
    const before = this.trouble === undefined;
    this.#bad = answer === undefined ? 0 : this.#bad + 1;
    this.#answer = answer;
    if (before !== (this.trouble === undefined)) this.#options.onTurn();
  }
}
