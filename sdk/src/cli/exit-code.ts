import { SlipwayError, type ErrorCode } from "../errors.js";

/** What the process says to the shell. */
export const EXIT = {
  ok: 0,
  /** The build or deployment ended in another way than SUCCEEDED, or the coordinator has a fault. */
  failed: 1,
  /** The command line or the application file is wrong; nothing was sent. */
  usage: 2,
  notFound: 3,
  /** The coordinator refused the request. */
  refused: 4,
  /** The coordinator could not be reached, or did not answer in time. */
  unreachable: 5,
  interrupted: 130,
} as const;

/** How --help tells it. */
export const EXIT_HELP = `Exit codes:
  0    it worked; what was waited for succeeded
  1    the build or deployment did not succeed (FAILED, ABORTED, SUPERSEDED), what
       was signed of a build does not fit, or something has a fault
  2    the command line or the application file is wrong; nothing was sent
  3    there is no such application, build, deployment, freeze, host, ...
  4    refused: a bad value, not possible in this state, frozen, or no permission
  5    the coordinator cannot be reached, or did not answer in time
  130  interrupted`;

/** Thrown where a command is called with what it cannot take. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const BY_CODE: Readonly<Record<ErrorCode, number>> = {
  NOT_FOUND: EXIT.notFound,
  INVALID_ARGUMENT: EXIT.refused,
  FAILED_PRECONDITION: EXIT.refused,
  ALREADY_EXISTS: EXIT.refused,
  ABORTED: EXIT.refused,
  OUT_OF_RANGE: EXIT.refused,
  PERMISSION_DENIED: EXIT.refused,
  UNAUTHENTICATED: EXIT.refused,
  UNAVAILABLE: EXIT.unreachable,
  DEADLINE_EXCEEDED: EXIT.unreachable,
  RESOURCE_EXHAUSTED: EXIT.unreachable,
  CANCELLED: EXIT.failed,
  UNKNOWN: EXIT.failed,
  UNIMPLEMENTED: EXIT.failed,
  INTERNAL: EXIT.failed,
  DATA_LOSS: EXIT.failed,
};

/** The exit code of a command that threw this. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof SlipwayError) return BY_CODE[error.code];
  return EXIT.failed;
}
