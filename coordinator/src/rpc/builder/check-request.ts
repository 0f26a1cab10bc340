import {
  ARTIFACT_DIGEST_PATTERN,
  BuildFailureReason,
  LogSource,
  WORK_MESSAGES_MAX,
  type Artifact,
  type BuildFailure,
  type Lease,
  type LogLine,
  type WorkHello,
  type WorkLogs,
  type WorkRequest,
} from "@slipway/proto";
import type { LeaseKey } from "../../queue/queue.js";
import { Violations } from "../../validate.js";

const MAX_INTEGER = 2_147_483_647;
const MAX_LEASES = 1_000;
const MAX_LINES = 10_000;
const MAX_MESSAGE_LENGTH = 8_192;
const SOURCES: readonly LogSource[] = [LogSource.STDOUT, LogSource.STDERR, LogSource.SYSTEM];
/** What a builder may say; the others are a coordinator's to decide. */
const BUILDER_REASONS: readonly BuildFailureReason[] = [
  BuildFailureReason.DEADLINE_EXCEEDED,
  BuildFailureReason.REPOSITORY_UNAVAILABLE,
  BuildFailureReason.COMMIT_NOT_FOUND,
  BuildFailureReason.COMMIT_NOT_ON_TRUNK,
  BuildFailureReason.COMMAND_FAILED,
  BuildFailureReason.ARTIFACT_INVALID,
  BuildFailureReason.BLOB_STORE_UNAVAILABLE,
  BuildFailureReason.BUILDER_ERROR,
  BuildFailureReason.RESOURCE_LIMIT_EXCEEDED,
];

/** Each checks one message of a builder's. @throws DomainError INVALID_ARGUMENT */

/** What a builder says, one at a time. */
export type Saying = Exclude<WorkRequest["message"], undefined | { $case: "several" }>;

/** What a message says; undefined for what is missing, or of a kind that is not known. */
export function sayingsIn({ message }: WorkRequest): readonly (Saying | undefined)[] {
  if (message?.$case !== "several") return [message];
  const { requests } = message.value;
  const found = new Violations();
  const fits = requests.length >= 1 && requests.length <= WORK_MESSAGES_MAX;
  found.check(fits, "several.requests", `must be 1 to ${WORK_MESSAGES_MAX}`);
  found.throwIfAny();
  return requests.map((one) => one.message);
}

export function checkHello({ builderId, platform }: WorkHello): void {
  const found = new Violations();
  found.name("hello.builder_id", builderId);
  checkPlatform("hello.platform", platform, found);
  found.throwIfAny();
}

export function checkFreeSlots(freeSlots: number): void {
  const found = new Violations();
  found.check(freeSlots <= MAX_LEASES, "ready.free_slots", `must be at most ${MAX_LEASES}`);
  found.throwIfAny();
}

export function checkLeases(leases: readonly Lease[], builderId: string): LeaseKey[] {
  const found = new Violations();
  const field = "heartbeat.leases";
  found.check(leases.length <= MAX_LEASES, field, `must be at most ${MAX_LEASES}`);
  found.throwIfAny();
  return leases.map((lease, index) => checkLease(`${field}[${index}]`, lease, builderId));
}

export function checkLease(field: string, lease: Lease | undefined, builderId: string): LeaseKey {
  const found = new Violations();
  const { buildId = "", attempt = 0 } = lease ?? {};
  found.uuid(`${field}.build_id`, buildId);
  const within = attempt >= 1 && attempt <= MAX_INTEGER;
  found.check(within, `${field}.attempt`, "must be the attempt that was leased");
  found.throwIfAny();
  return { buildId, attempt, builderId };
}

export function checkLogs({ lines, batch, lease }: WorkLogs, now: Date): LogLine[] {
  const found = new Violations();
  found.check(lines.length <= MAX_LINES, "logs.lines", `must be at most ${MAX_LINES} lines`);
  const number = Number.isSafeInteger(batch) && batch >= 1;
  found.check(number, "logs.batch", "must count from 1");
  found.throwIfAny();
  return lines.map(({ time, source, text }) => ({
    sequence: 0,
    time: time ?? now,
    attempt: lease?.attempt ?? 0,
    source: SOURCES.includes(source) ? source : LogSource.SYSTEM,
    text,
  }));
}

export function checkArtifact(artifact: Artifact | undefined): Artifact {
  const found = new Violations();
  if (artifact === undefined) {
    found.add("complete.artifact", "is missing");
    found.throwIfAny();
  }
  const { digest = "", sizeBytes = 0, chunkCount = 0, platform = "" } = artifact ?? {};
  const named = ARTIFACT_DIGEST_PATTERN.test(digest);
  found.check(named, "complete.artifact.digest", "must be sha256: and 64 hexadecimal digits");
  const sized = Number.isSafeInteger(sizeBytes) && sizeBytes > 0;
  found.check(sized, "complete.artifact.size_bytes", "must be above 0");
  const counted = chunkCount > 0 && chunkCount <= MAX_INTEGER;
  found.check(counted, "complete.artifact.chunk_count", "must be above 0");
  checkPlatform("complete.artifact.platform", platform, found);
  found.throwIfAny();
  return { digest, sizeBytes, chunkCount, platform };
}

/** Long messages are cut, since a build's failure must not be lost over its words. */
export function checkFailure(failure: BuildFailure | undefined): BuildFailure {
  const found = new Violations();
  const { reason = BuildFailureReason.UNSPECIFIED, message = "", exitCode } = failure ?? {};
  const known = BUILDER_REASONS.includes(reason);
  found.check(known, "fail.failure.reason", "must be a reason that a builder can give");
  found.throwIfAny();
  // Postgres text holds no NUL.
  const clean = message.replaceAll("\0", "\uFFFD");
  const text = clean.length > MAX_MESSAGE_LENGTH ? `${clean.slice(0, MAX_MESSAGE_LENGTH)}…` : clean;
  return { reason, message: text, exitCode };
}

function checkPlatform(field: string, platform: string, found: Violations): void {
  const shape = /^[a-z0-9_]{1,32}\/[a-z0-9_]{1,32}$/.test(platform);
  found.check(shape, field, 'must be an operating system and architecture, like "linux/x64"');
}
