import { errorCode } from "../store/errors.js";

/**
 * Why a blob store could not do something.
 * - `invalid`: the caller's fault: a bad digest, range or chunk number.
 * - `not-found`: the store has no such artifact.
 * - `corrupt`: bytes that do not match the manifest, or a manifest that does not match its digest.
 * - `full`: no space, or over a quota.
 * - `unavailable`: anything else that the store could not do.
 */
export type BlobStoreErrorReason = "invalid" | "not-found" | "corrupt" | "full" | "unavailable";

/** The only error that a BlobStore throws, beside the reason of an AbortSignal. */
export class BlobStoreError extends Error {
  override readonly name = "BlobStoreError";
  readonly reason: BlobStoreErrorReason;
  /** The same call may succeed later without anybody's doing. */
  readonly retryable: boolean;

  constructor(
    reason: BlobStoreErrorReason,
    message: string,
    options: { retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.retryable = options.retryable ?? reason === "unavailable";
  }
}

const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
/** Somebody has to change something first. */
const LASTING = new Set(["EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG"]);

/** Turns a file system error into a BlobStoreError that says what was being done. */
export function fromSystemError(doing: string, error: unknown): BlobStoreError {
  if (error instanceof BlobStoreError) return error;
  const code = errorCode(error);
  const message = `${doing}: ${error instanceof Error ? error.message : String(error)}`;
  if (code !== undefined && FULL.has(code))
    return new BlobStoreError("full", message, { cause: error });
  const retryable = code !== undefined && !LASTING.has(code);
  return new BlobStoreError("unavailable", message, { retryable, cause: error });
}
