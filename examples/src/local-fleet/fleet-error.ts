/** The end of a process's log. */
export interface LogTail {
  /** The process's name. */
  name: string;
  tail: string;
}

/** A fleet, or something done with it, that failed; `logs` holds the ends of those that may say why. */
export class FleetError extends Error {
  override readonly name = "FleetError";
  readonly logs: readonly LogTail[];

  constructor(message: string, logs: readonly LogTail[], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.logs = logs;
  }
}
