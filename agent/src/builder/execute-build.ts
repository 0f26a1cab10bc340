import { chmod, mkdir } from "node:fs/promises";
import { constants } from "node:os";
import path from "node:path";
import process from "node:process";
import {
  type Artifact,
  type BuildSpec,
  BuildFailureReason,
  BuildSpec as BuildSpecMessage,
  LogSource,
  SourceSpec,
  type WorkLeased,
  durationToMs,
} from "@slipway/proto";
import { BlobStoreError, putFile, type BlobStore } from "../blob/index.js";
import { chunkFile } from "../store/chunker.js";
import { ManifestError, decodeManifest } from "../store/manifest.js";
import { findArtifact } from "./artifact-file.js";
import type { ResolvedConfig } from "./config.js";
import { BuildError, BuilderStoppingError } from "./failure.js";
import { fetchSource } from "./git/fetch-source.js";
import type { Git } from "./git/git.js";
import { redactCredentials } from "./git/repository-url.js";
import type { TrunkHistories } from "./git/trunk-history.js";
import type { OutputSource } from "./log/output-log.js";
import { giveTree } from "./process/build-user.js";
import type { Confinement } from "./process/confinement.js";
import type { GroupRecords } from "./process/group-records.js";
import { StartError, runGroup, type GroupExit } from "./process/run-group.js";

/** In the environment of whatever a build starts: by it, what outlives the build is found. */
export const DIRECTORY_VARIABLE = "SLIPWAY_BUILD_DIRECTORY";

const DEFAULT_TIMEOUT_MS = 15 * 60_000;
const MAX_TIMEOUT_MS = 24 * 60 * 60_000;

/** What a builder's builds share. */
export interface BuildContext {
  config: ResolvedConfig;
  blobStore: BlobStore;
  git: Git;
  histories: TrunkHistories;
  records: GroupRecords;
  confinement: Confinement;
}

/** Where a build's log goes. */
export interface BuildLog {
  /** Said by Slipway itself. */
  say: (text: string) => void;
  /** Output of the build command. */
  output: (source: OutputSource, chunk: Buffer) => void;
  /** The command has ended, and with it the output. */
  endOutput: () => void;
}

/**
 * Fetches, builds, and stores what was built, all in a fresh directory.
 * @throws BuildError, the signal's reason, or whatever else is the builder's own fault.
 */
export async function executeBuild(
  context: BuildContext,
  leased: WorkLeased,
  directory: string,
  log: BuildLog,
  signal: AbortSignal,
): Promise<Artifact> {
  const source = SourceSpec.fromPartial(leased.source ?? {});
  const build = BuildSpecMessage.fromPartial(leased.build ?? {});
  const checkout = path.join(directory, "source");
  const since = stopwatch();
  log.say(`fetching ${leased.commitSha} of ${redactCredentials(source.repository)}`);
  const request = { source, commit: leased.commitSha, directory: checkout, signal };
  await fetchSource(context.git, context.histories, request);
  log.say(`fetched in ${since()}; running ${JSON.stringify(build.command)}`);
  await runCommand(context, leased, build, directory, log, signal);
  log.say(`the build command succeeded after ${since()}`);
  const artifact = await storeArtifact(context, build, checkout, signal);
  const { digest, sizeBytes, chunkCount } = artifact;
  log.say(`stored ${digest}: ${sizeBytes} bytes, ${chunkCount} chunks, in ${since()}`);
  return artifact;
}

async function runCommand(
  { config, records, confinement }: BuildContext,
  leased: WorkLeased,
  build: BuildSpec,
  directory: string,
  log: BuildLog,
  signal: AbortSignal,
): Promise<void> {
  const [checkout, home, temporary] = ["source", "home", "tmp"].map((name) =>
    path.join(directory, name),
  ) as [string, string, string];
  await mkdir(home);
  await mkdir(temporary);
  if (confinement.user !== undefined) {
    await chmod(directory, 0o711);
    for (const tree of [checkout, home, temporary]) await giveTree(tree, confinement.user);
  }
  if (build.command.length === 0) throw commandFailed("the application has no build command");
  const asked = durationToMs(build.timeout, 0);
  const timeoutMs = Math.min(asked > 0 ? asked : DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS);
  const buildId = leased.lease?.buildId ?? "";
  let exit: GroupExit;
  try {
    exit = await runGroup({
      command: build.command,
      cwd: checkout,
      confinement,
      environment: {
        PATH: config.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
        LANG: config.environment["LANG"] ?? "C.UTF-8",
        HOME: home,
        TMPDIR: temporary,
        CI: "true",
        SLIPWAY_APPLICATION: leased.application,
        SLIPWAY_COMMIT_SHA: leased.commitSha,
        SLIPWAY_BUILD_ID: buildId,
        ...build.environment,
        [DIRECTORY_VARIABLE]: directory,
      },
      timeoutMs,
      graceMs: config.killGraceMs,
      signal,
      abortsGently: (reason) => reason instanceof BuilderStoppingError,
      records,
      variable: `${DIRECTORY_VARIABLE}=${directory}`,
      onOutput: (source, chunk) =>
        log.output(source === "stdout" ? LogSource.STDOUT : LogSource.STDERR, chunk),
    });
  } catch (error) {
    throw error instanceof StartError ? explainStart(error, build.command[0] ?? "") : error;
  } finally {
    log.endOutput();
  }
  if (exit.leftBehind) log.say("the build command left processes behind; they were killed");
  if (exit.timedOut) {
    throw new BuildError(
      BuildFailureReason.DEADLINE_EXCEEDED,
      `the build command ran longer than its timeout of ${timeoutMs / 1000} s and was killed`,
    );
  }
  const limit = limitMet(exit, confinement);
  if (limit !== undefined) {
    throw new BuildError(BuildFailureReason.RESOURCE_LIMIT_EXCEEDED, limit);
  }
  if (exit.signal !== null) {
    const hint = exit.signal === "SIGKILL" ? "; the machine may be out of memory" : "";
    throw commandFailed(`the build command was ended by ${exit.signal}${hint}`);
  }
  if (exit.exitCode !== 0) {
    const code = exit.exitCode ?? -1;
    throw commandFailed(`the build command exited with code ${code}; its log says why`, code);
  }
}

/** Which limit ended the command, if its shell or itself tells; undefined if none did. */
function limitMet({ signal, exitCode }: GroupExit, { limits }: Confinement): string | undefined {
  const ended = (name: "SIGXCPU" | "SIGXFSZ"): boolean =>
    signal === name || exitCode === 128 + constants.signals[name];
  if (limits.cpuSeconds !== undefined && ended("SIGXCPU")) {
    return `a process of the build used more than its ${limits.cpuSeconds} s of processor time`;
  }
  if (limits.fileBytes !== undefined && ended("SIGXFSZ")) {
    return `a process of the build wrote a file of more than its ${limits.fileBytes} bytes`;
  }
  return undefined;
}

async function storeArtifact(
  { blobStore, confinement }: BuildContext,
  build: BuildSpec,
  checkout: string,
  signal: AbortSignal,
): Promise<Artifact> {
  const { artifactPath, artifactFormat } = build;
  const owner = confinement.user?.uid;
  const found = await findArtifact(checkout, artifactPath, artifactFormat, owner);
  const { file } = found;
  try {
    const manifestBytes = await chunkFile(file, { signal });
    await putFile(blobStore, file, manifestBytes, { signal });
    const { digest, sizeBytes, chunkCount } = decodeManifest(manifestBytes);
    return { digest, sizeBytes, chunkCount, platform: `${process.platform}/${process.arch}` };
  } catch (error) {
    if (error instanceof ManifestError) {
      const message = `${build.artifactPath} cannot be an artifact: ${error.message}`;
      throw new BuildError(BuildFailureReason.ARTIFACT_INVALID, message, { cause: error });
    }
    if (!(error instanceof BlobStoreError)) throw error;
    if (error.reason === "corrupt") {
      const message = `${build.artifactPath} changed while it was stored: does something still write it?`;
      throw new BuildError(BuildFailureReason.ARTIFACT_INVALID, message, { cause: error });
    }
    const message = `the artifact could not be put into the blob store: ${error.message}`;
    const { BLOB_STORE_UNAVAILABLE } = BuildFailureReason;
    throw new BuildError(BLOB_STORE_UNAVAILABLE, message, { cause: error });
  } finally {
    await found.close();
  }
}

function explainStart(error: StartError, program: string): BuildError {
  if (error.code === "EAGAIN" || error.code === "ENOMEM" || error.code === "EMFILE") {
    const message = `the builder could not start a process: ${error.message}`;
    const options = { retry: true, cause: error };
    return new BuildError(BuildFailureReason.BUILDER_ERROR, message, options);
  }
  const why =
    error.code === "ENOENT"
      ? "it, or the interpreter that its first line names, was not found"
      : error.code === "EACCES"
        ? "it is not executable"
        : error.message;
  return commandFailed(`the build command ${JSON.stringify(program)} could not be started: ${why}`);
}

function commandFailed(message: string, exitCode?: number): BuildError {
  return new BuildError(BuildFailureReason.COMMAND_FAILED, message, { exitCode });
}

/** Seconds since the last call. */
function stopwatch(): () => string {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = ((now - last) / 1000).toFixed(1);
    last = now;
    return `${seconds} s`;
  };
}
