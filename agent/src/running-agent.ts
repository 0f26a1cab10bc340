import type { Logger } from "./log.js";

/** A running agent. stop() may be called twice. */
export interface RunningAgent {
  stop(): Promise<void>;
}

/** Releases in the reverse order, all of them, once. */
export function stopOnce(
  cleanUp: (() => Promise<void> | void)[],
  log: Logger,
): () => Promise<void> {
  let stopping: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    for (let next = cleanUp.pop(); next !== undefined; next = cleanUp.pop()) {
      try {
        await next();
      } catch (error) {
        log.error({ err: error }, "a part of the agent cannot be stopped");
      }
    }
  };
  return () => {
    stopping ??= run();
    return stopping;
  };
}
