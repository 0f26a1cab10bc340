import { BuildFailure, BuildFailureReason } from "@slipway/proto";

/** Longest message of a failure, in characters; longer ones lose their middle. */
const MESSAGE_MAX = 8000;

/** Why a build ends without an artifact. The message is for the person who submitted it. */
export class BuildError extends Error {
  override readonly name = "BuildError";
  readonly reason: BuildFailureReason;
  readonly exitCode: number | undefined;
  /** Another attempt may well succeed: not the build's fault. */
  readonly retry: boolean;

  constructor(
    reason: BuildFailureReason,
    message: string,
    options: { exitCode?: number | undefined; retry?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.exitCode = options.exitCode;
    this.retry = options.retry ?? false;
  }
}

/** The work of a lease must stop: what it made is not wanted. */
export class LeaseLostError extends Error {
  override readonly name = "LeaseLostError";
}

/** The builder stops before the build has ended. */
export class BuilderStoppingError extends Error {
  override readonly name = "BuilderStoppingError";
}

/** What the coordinator is told, and whether another attempt is asked for. */
export function toFailure(error: unknown): { failure: BuildFailure; retry: boolean } {
  const known = error instanceof BuildError ? error : undefined;
  const text = error instanceof Error ? error.message : String(error);
  const failure = BuildFailure.fromPartial({
    reason: known?.reason ?? BuildFailureReason.BUILDER_ERROR,
    message: shorten(
      known !== undefined || error instanceof BuilderStoppingError
        ? text
        : `the builder failed: ${text}`,
    ),
  });
  if (known?.exitCode !== undefined) failure.exitCode = known.exitCode;
  return { failure, retry: known?.retry ?? true };
}

function shorten(message: string): string {
  if (message.length <= MESSAGE_MAX) return message;
  const half = MESSAGE_MAX / 2 - 5;
  return `${message.slice(0, half)}\n[…]\n${message.slice(-half)}`;
}
