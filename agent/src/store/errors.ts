/** No room for an artifact. What is there stays, and the download goes on once there is room. */
export class StoreFullError extends Error {
  override readonly name = "StoreFullError";
}

/** The artifact is in use: being read, or being written by somebody else. */
export class ArtifactBusyError extends Error {
  override readonly name = "ArtifactBusyError";
}

/** A complete artifact's file is not what it was when it came; ArtifactStore.verify removes it. */
export class ArtifactDamagedError extends Error {
  override readonly name = "ArtifactDamagedError";
}

/** The thread that writes chunks is gone; what it was told may not be written. Worth another try. */
export class ChunkWriterError extends Error {
  override readonly name = "ChunkWriterError";
}

/** A directory is where a file is kept: somebody's hand, or a damaged file system. */
export class NotAFileError extends Error {
  override readonly name = "NotAFileError";

  constructor(file: string, cause: unknown) {
    super(`${file} is a directory, and should be a file: move it away`, { cause });
  }
}

/** EISDIR of a path as NotAFileError; any other error as it is. */
export function fileError(error: unknown, file: string): unknown {
  return errorCode(error) === "EISDIR" ? new NotAFileError(file, error) : error;
}

const FULL_CODES = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** Disk full, quota and file size limit as StoreFullError; any other error as it is. */
export function storeError(error: unknown): unknown {
  const code = errorCode(error);
  if (code === undefined || !FULL_CODES.has(code)) return error;
  return new StoreFullError(`no room in the artifact store (${code})`, { cause: error });
}

export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
