import { HostFailureReason, type HostFailure } from "@slipway/proto";
import { StoreFullError, errorCode } from "../store/errors.js";
import type { ArtifactStore } from "../store/types.js";
import type { FetchProgress, Priority, Swarm } from "../swarm/index.js";
import { hostFailure } from "./application-report.js";
import type { ReleaseRecord } from "./application-state.js";
import type { ReleaseFolders } from "./release-folders.js";
import { UnpackError } from "./unpack.js";
import type { ReleaseFailure } from "./wait-healthy.js";

/** What staging needs of the host. */
export interface Stager {
  store: ArtifactStore;
  swarm: Pick<Swarm, "fetch" | "announce">;
}

export interface StageOptions {
  stager: Stager;
  folders: ReleaseFolders;
  /** Frees room in the artifact store, if it takes more than so much, or than its bound. */
  collect: (maxBytes?: number) => Promise<void>;
}

/** Staging that did not come to its end, with the reason that the host reports. */
class StageError extends Error {
  override readonly name = "StageError";
  readonly reason: HostFailureReason;
  /** Whether the same may go well later. */
  readonly retryable: boolean;

  constructor(reason: HostFailureReason, retryable: boolean, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.reason = reason;
    this.retryable = retryable;
  }
}

/**
 * Gets a release's artifact, and makes its folder. The result says what will never go well.
 * @throws StageError, after which it may, or the signal's reason.
 */
export async function stage(
  { stager, folders, collect }: StageOptions,
  record: ReleaseRecord,
  how: { priority: Priority; signal: AbortSignal },
  onProgress: (progress: FetchProgress) => void,
): Promise<ReleaseFailure | undefined> {
  try {
    const file = await fetchArtifact(stager, record.release.artifactDigest, how, onProgress);
    await createFolder(folders, record, file, how.signal);
    return undefined;
  } catch (error) {
    if (!(error instanceof StageError)) throw error;
    // When it is tried again nothing is kept that nobody needs.
    if (error.reason === HostFailureReason.DISK_FULL) await collect(0);
    if (error.retryable) throw error;
    return { reason: error.reason, message: error.message };
  }
}

/**
 * Gets the artifact's bytes, verified, on disk, and gives the path of its file.
 * @throws StageError, or the signal's reason.
 */
async function fetchArtifact(
  { store, swarm }: Stager,
  digest: string,
  { priority, signal }: { priority: Priority; signal: AbortSignal },
  onProgress: (progress: FetchProgress) => void,
): Promise<string> {
  try {
    // What lay here may have been damaged since it came; what comes now is verified as it does.
    const there = (await store.verify(digest)) ? await store.path(digest) : undefined;
    if (there !== undefined) return there;
    const fetching = swarm.fetch(digest, { store, signal, priority });
    for await (const progress of fetching) onProgress(progress);
    const file = await store.path(digest);
    if (file === undefined) throw new Error("the artifact is not there after its download");
    swarm.announce(digest);
    return file;
  } catch (error) {
    signal.throwIfAborted();
    throw new StageError(
      isFull(error) ? HostFailureReason.DISK_FULL : HostFailureReason.DOWNLOAD_FAILED,
      true,
      error,
    );
  }
}

/**
 * Makes the release's folder from its artifact's file.
 * @throws StageError, or the signal's reason.
 */
async function createFolder(
  folders: ReleaseFolders,
  { release }: ReleaseRecord,
  artifact: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await folders.create(release, artifact, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (isFull(error)) throw new StageError(HostFailureReason.DISK_FULL, true, error);
    // A damaged archive stays so; anything else is the machine's, and may pass.
    throw new StageError(HostFailureReason.UNPACK_FAILED, !(error instanceof UnpackError), error);
  }
}

/** What is to be told of an error that ended staging; undefined if it has no reason of its own. */
export function stageFailure(error: unknown): HostFailure | undefined {
  if (error instanceof StageError) return hostFailure(error.reason, error.message);
  if (!isFull(error)) return undefined;
  return hostFailure(HostFailureReason.DISK_FULL, (error as Error).message);
}

/** Whether the disk, or a quota, is full. */
function isFull(error: unknown): boolean {
  return error instanceof StoreFullError || ["ENOSPC", "EDQUOT"].includes(errorCode(error) ?? "");
}
