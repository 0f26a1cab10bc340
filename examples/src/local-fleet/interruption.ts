/** As shells give them to what a signal ended. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 };
const IMPATIENT_MS = 1_000;
const PARENT_CHECK_MS = 500;

/** Somebody wants the program to end. */
export class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: keyof typeof EXIT_CODES) {
    super(`stopped by ${signal}`);
    this.exitCode = EXIT_CODES[signal];
  }
}

/**
 * Aborts, with an Interrupted as its reason, when a terminal, npm or a closed output wants this
 * program to end; whoever asks again a second later has it end at once.
 * @param onStop - Told once, before it aborts.
 */
export function interruption(onStop: () => void): AbortSignal {
  const stopping = new AbortController();
  let stoppingSince = Number.POSITIVE_INFINITY;
  const stop = (reason: Error): void => {
    if (stopping.signal.aborted) return;
    stoppingSince = Date.now();
    onStop();
    stopping.abort(reason);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      // npm passes on what the terminal sends to us as well: twice at once is once. Later it is
      // impatience, and the guardian ends what is left.
      if (Date.now() - stoppingSince > IMPATIENT_MS) process.exit(EXIT_CODES[signal]);
      stop(new Interrupted(signal));
    });
  }
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    stop(error.code === "EPIPE" ? new Interrupted("SIGPIPE") : error);
  });
  process.stderr.on("error", () => undefined);
  watchParent(() => stop(new Interrupted("SIGHUP")));
  return stopping.signal;
}

/** npm, or its shell, may be ended without a word to us; nobody would ever end the fleet then. */
function watchParent(onGone: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const check = (): void => {
    if (process.ppid !== parent) onGone();
  };
  setInterval(check, PARENT_CHECK_MS).unref();
}
