import { openDirectoryBlobStore } from "../blob/index.js";
import { resolveConfig, type BuilderConfig } from "./config.js";
import { DataDirectory } from "./data-directory.js";
import { DIRECTORY_VARIABLE } from "./execute-build.js";
import { Git } from "./git/git.js";
import { TrunkHistories } from "./git/trunk-history.js";
import { LeasingBuilder, type Builder } from "./leasing-builder.js";
import { prepareConfinement, UNCONFINED } from "./process/confinement.js";
import { GroupRecords } from "./process/group-records.js";

/**
 * Starts a builder: cleans up what a killed one left behind, then leases builds from the
 * coordinator for as long as it runs. A coordinator that is not there is waited for.
 * @throws RangeError for a bad config, DataDirectoryInUseError, BlobStoreError, or an Error that
 *   says why git cannot be used.
 */
export async function startBuilder(config: BuilderConfig): Promise<Builder> {
  const resolved = resolveConfig(config);
  const { log, environment, blobStore } = resolved;
  const data = await DataDirectory.lock(resolved.dataDir);
  try {
    const records = new GroupRecords(data.groups);
    const killed = await records.killLeftovers(`${DIRECTORY_VARIABLE}=${data.work}/`);
    const abandoned = await data.clearWork();
    if (killed + abandoned.length > 0) {
      log.warn({ killed, leases: abandoned }, "cleaned up after a killed builder");
    }
    const confinement =
      resolved.confinement === undefined
        ? UNCONFINED
        : await prepareConfinement(resolved.confinement, {
            slots: resolved.slots,
            searchPath: environment["PATH"] ?? "",
            log,
          });
    if (confinement.user !== undefined) await data.open(confinement.user);
    const git = new Git({
      environment,
      timeoutMs: resolved.gitTimeoutMs,
      retryDelayMs: resolved.gitRetryDelayMs,
      records,
    });
    const run = { cwd: resolved.dataDir, signal: new AbortController().signal };
    const version = (await git.run(["--version"], run)).trim();
    const histories = new TrunkHistories(git, data.histories);
    await histories.removeUnused();
    const store =
      typeof blobStore === "string" ? await openDirectoryBlobStore(blobStore) : blobStore;
    const { user, limits } = confinement;
    log.info(
      { id: resolved.id, slots: resolved.slots, git: version, buildUser: user?.name, limits },
      "builder started",
    );
    return new LeasingBuilder(
      { config: resolved, blobStore: store, git, histories, records, confinement },
      data,
      abandoned,
    );
  } catch (error) {
    await data.unlock();
    throw error;
  }
}
