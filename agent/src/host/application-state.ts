import { rename } from "node:fs/promises";
import path from "node:path";
import { ARTIFACT_DIGEST_PATTERN, HostFailureReason, RunSpec, type Release } from "@slipway/proto";
import type { Logger } from "../log.js";
import { writeAtomically } from "../atomic-file.js";
import { readIfThere } from "../store/files.js";
import type { GoalOrder, ObeyedOrder } from "./goal-order.js";
import { RELEASE_FOLDER_PATTERN } from "./release-key.js";

/** A release on this host. */
export interface ReleaseRecord {
  /** Name of its release folder. */
  folder: string;
  release: Release;
  /**
   * Of the deployment that told this host to run it, or whose own release failed here so that it was
   * kept; the last one if there were several.
   */
  generation: number;
}

/** That the release of a generation failed here: it is not tried again. */
export interface FailureRecord {
  generation: number;
  reason: HostFailureReason;
  message: string;
}

/** How the bytes of a generation came here; all in bytes and milliseconds. */
export interface TransferRecord {
  generation: number;
  bytesDone: number;
  bytesTotal: number;
  bytesFromPeers: number;
  bytesFromSeeders: number;
  bytesFromLocal: number;
  bytesFromReuse: number;
  stageDurationMs: number;
  activateDurationMs: number;
}

/** What is kept of an application over restarts of the agent. */
export interface ApplicationState {
  /** The newest goal that was obeyed; older ones never will be. */
  obeyed?: ObeyedOrder | undefined;
  /** That goal, a SignedGoal in base64, so that the host goes on without its region. */
  signedGoal?: string | undefined;
  /** The last release that was healthy: what a failed one is put back to. */
  active?: ReleaseRecord | undefined;
  /** The one before: kept for a roll-back with no download. */
  previous?: ReleaseRecord | undefined;
  /** Started, and not yet known to be healthy. */
  activating?: ReleaseRecord | undefined;
  failed?: FailureRecord | undefined;
  transfer?: TransferRecord | undefined;
  /** Digests of artifacts that were staged here, the last one first; the store may have dropped some. */
  artifacts?: readonly string[] | undefined;
}

const STATE_FILE = "state.json";
/** The order alone, so that a state file that cannot be read lets no older goal in. */
export const OBEYED_FILE = "obeyed.json";

/** Reads an application's state; what is missing or damaged is left out, and logged. */
export async function readState(folder: string, log: Logger): Promise<ApplicationState> {
  const state = (await readJson(folder, STATE_FILE, parseState, log)) ?? {};
  const obeyed = await readJson(folder, OBEYED_FILE, (value) => order(value), log);
  const known = state.obeyed;
  if (obeyed !== undefined && (known === undefined || isNewer(obeyed, known))) {
    // The goal in the state file is not the last one that was obeyed.
    return { ...state, obeyed, signedGoal: undefined };
  }
  return state;
}

export async function writeState(folder: string, state: ApplicationState): Promise<void> {
  if (state.obeyed !== undefined) {
    await writeAtomically(path.join(folder, OBEYED_FILE), JSON.stringify(state.obeyed));
  }
  await writeAtomically(path.join(folder, STATE_FILE), JSON.stringify(toJson(state)));
}

/** That the application was here, until the goal of this place in the order. */
export interface ForgottenRecord extends ObeyedOrder {
  /** Milliseconds since the epoch. */
  forgottenTimeMs: number;
}

/** Reads that an application is here no more; undefined if it is. */
export function readForgotten(folder: string, log: Logger): Promise<ForgottenRecord | undefined> {
  return readJson(folder, OBEYED_FILE, forgottenRecord, log);
}

export function writeForgotten(folder: string, record: ForgottenRecord): Promise<void> {
  return writeAtomically(path.join(folder, OBEYED_FILE), JSON.stringify(record));
}

function isNewer(a: GoalOrder, b: GoalOrder): boolean {
  return (
    a.generation > b.generation || (a.generation === b.generation && a.issueTimeMs > b.issueTimeMs)
  );
}

function toJson(state: ApplicationState): unknown {
  return {
    ...state,
    active: recordToJson(state.active),
    previous: recordToJson(state.previous),
    activating: recordToJson(state.activating),
  };
}

function recordToJson(record: ReleaseRecord | undefined): unknown {
  if (record === undefined) return undefined;
  const { run } = record.release;
  return { ...record, release: { ...record.release, run: run && RunSpec.toJSON(run) } };
}

async function readJson<T>(
  folder: string,
  name: string,
  parse: (value: unknown) => T,
  log: Logger,
): Promise<T | undefined> {
  const file = path.join(folder, name);
  const bytes = await readIfThere(file);
  if (bytes === undefined) return undefined;
  try {
    return parse(JSON.parse(bytes.toString()));
  } catch (error) {
    const aside = `${file}.damaged`;
    await rename(file, aside);
    log.error({ err: error, aside }, "state file cannot be read; started afresh");
    return undefined;
  }
}

class StateError extends Error {
  override readonly name = "StateError";
}

function parseState(value: unknown): ApplicationState {
  const json = object(value, "state");
  const signedGoal = json["signedGoal"];
  if (signedGoal !== undefined && typeof signedGoal !== "string")
    throw new StateError("signedGoal");
  const obeyed = optional(json["obeyed"], order);
  // Before it was noted which goal a release was by: none later than the last.
  const record = (value: unknown): ReleaseRecord => releaseRecord(value, obeyed?.generation ?? 0);
  return {
    obeyed,
    signedGoal,
    active: optional(json["active"], record),
    previous: optional(json["previous"], record),
    activating: optional(json["activating"], record),
    failed: optional(json["failed"], (failed) => {
      const fields = object(failed, "failed");
      const reason = number(fields, "reason");
      if (HostFailureReason[reason] === undefined) throw new StateError("failed.reason");
      return {
        generation: number(fields, "generation"),
        reason,
        message: string(fields, "message"),
      };
    }),
    transfer: optional(json["transfer"], transfer),
    artifacts: optional(json["artifacts"], artifacts),
  };
}

function order(value: unknown): ObeyedOrder {
  const fields = object(value, "order");
  return {
    generation: number(fields, "generation"),
    issueTimeMs: number(fields, "issueTimeMs"),
    keyId: optional(fields["keyId"], () => string(fields, "keyId")),
  };
}

function artifacts(value: unknown): string[] {
  if (!Array.isArray(value)) throw new StateError("artifacts");
  return value.filter((digest) => ARTIFACT_DIGEST_PATTERN.test(String(digest))).map(String);
}

function forgottenRecord(value: unknown): ForgottenRecord | undefined {
  const fields = object(value, "order");
  if (fields["forgottenTimeMs"] === undefined) return undefined;
  return { ...order(value), forgottenTimeMs: number(fields, "forgottenTimeMs") };
}

function transfer(value: unknown): TransferRecord {
  const fields = object(value, "transfer");
  return {
    generation: number(fields, "generation"),
    bytesDone: number(fields, "bytesDone"),
    bytesTotal: number(fields, "bytesTotal"),
    bytesFromPeers: number(fields, "bytesFromPeers"),
    bytesFromSeeders: number(fields, "bytesFromSeeders"),
    bytesFromLocal: number(fields, "bytesFromLocal"),
    // Not in what was written before chunks were reused.
    bytesFromReuse: optional(fields["bytesFromReuse"], () => number(fields, "bytesFromReuse")) ?? 0,
    stageDurationMs: number(fields, "stageDurationMs"),
    activateDurationMs: number(fields, "activateDurationMs"),
  };
}

function releaseRecord(value: unknown, unnoted: number): ReleaseRecord {
  const fields = object(value, "release record");
  const folder = string(fields, "folder");
  if (!RELEASE_FOLDER_PATTERN.test(folder)) throw new StateError("folder");
  const release = object(fields["release"], "release");
  return {
    folder,
    generation: optional(fields["generation"], () => number(fields, "generation")) ?? unnoted,
    release: {
      buildId: string(release, "buildId"),
      commitSha: string(release, "commitSha"),
      artifactDigest: string(release, "artifactDigest"),
      artifactSizeBytes: number(release, "artifactSizeBytes"),
      applicationRevision: number(release, "applicationRevision"),
      run: RunSpec.fromJSON(object(release["run"], "run")),
    },
  };
}

function optional<T>(value: unknown, parse: (value: unknown) => T): T | undefined {
  return value === undefined || value === null ? undefined : parse(value);
}

function object(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new StateError(what);
  return value as Record<string, unknown>;
}

function number(fields: Record<string, unknown>, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw new StateError(name);
  return value;
}

function string(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new StateError(name);
  return value;
}
