import { createHash } from "node:crypto";
import type { Artifact } from "../../gen/slipway/v1/build.js";
import { isObject, parseObject } from "./envelope.js";
import { printable, ProvenanceRefusedError } from "./refused.js";

const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE = "https://slsa.dev/provenance/v1";
/** How Slipway builds, in the terms of SLSA: what the parameters mean; see README.md. */
const PROVENANCE_BUILD_TYPE = "urn:slipway:build:v1";
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
/** Where a verifier must know every field, as SLSA asks. */
const CLOSED = "predicate.buildDefinition.externalParameters";

/** What is known of a build that has succeeded. */
export interface BuildFacts {
  buildId: string;
  /** The one that succeeded. */
  attempt: number;
  builderId: string;
  application: string;
  applicationRevision: number;
  /** As the application's source names it; credentials are left out. */
  repository: string;
  commitSha: string;
  /** The build command and its arguments. */
  command: readonly string[];
  artifact: Pick<Artifact, "digest" | "sizeBytes" | "platform">;
}

/** When the builder worked on it, by the builder's clock. */
export interface BuildTimes {
  startedOn: Date;
  finishedOn: Date;
}

/** An in-toto Statement v1 with an SLSA provenance v1 predicate, as JSON. */
export function provenanceStatement(
  facts: BuildFacts,
  { startedOn, finishedOn }: BuildTimes,
): object {
  const statement = expectedStatement(facts);
  const { runDetails } = statement.predicate;
  const times = { startedOn: startedOn.toISOString(), finishedOn: finishedOn.toISOString() };
  const metadata = { ...runDetails.metadata, ...times };
  return {
    ...statement,
    predicate: { ...statement.predicate, runDetails: { ...runDetails, metadata } },
  };
}

/**
 * Reads a statement that must be one of this build. Fields that the formats do not know are ignored,
 * but for external parameters.
 * @throws ProvenanceRefusedError "malformed", or "mismatch" with the first field that differs.
 */
export function checkStatement(payload: Uint8Array, facts: BuildFacts): BuildTimes {
  const statement = parseObject(payload, "statement");
  const difference = firstDifference(expectedStatement(facts), statement, "");
  if (difference !== undefined) {
    throw new ProvenanceRefusedError("mismatch", `its ${difference}`);
  }
  return readTimes(statement);
}

function expectedStatement(facts: BuildFacts) {
  const { buildId, attempt, builderId, application, commitSha, artifact } = facts;
  const { digest, sizeBytes, platform } = artifact;
  const repository = withoutCredentials(facts.repository);
  return {
    _type: STATEMENT_TYPE,
    subject: [
      {
        name: application,
        digest: { sha256: digest.replace(/^sha256:/, "") },
        annotations: { sizeBytes },
      },
    ],
    predicateType: PREDICATE_TYPE,
    predicate: {
      buildDefinition: {
        buildType: PROVENANCE_BUILD_TYPE,
        externalParameters: {
          repository,
          commit: commitSha,
          application,
          revision: facts.applicationRevision,
          platform,
        },
        internalParameters: { commandDigest: { sha256: commandDigest(facts.command) } },
        resolvedDependencies: [{ uri: repository, digest: { gitCommit: commitSha } }],
      },
      runDetails: {
        builder: { id: `urn:slipway:builder:${builderId}` },
        metadata: { invocationId: `${buildId}/${attempt}` },
      },
    },
  };
}

/** SHA-256 of the command as a JSON array of strings, in hexadecimal. */
function commandDigest(command: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(command)).digest("hex");
}

/** A repository's name without what nobody but git needs to know. */
export function withoutCredentials(repository: string): string {
  return repository
    .replace(/^(https?|git):\/\/[^\s/]*@/i, "$1://")
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^\s/@:]*):[^\s/]*@/i, "$1@");
}

/** Where the first field is that is not as expected, and how; undefined if all are. */
function firstDifference(expected: unknown, actual: unknown, path: string): string | undefined {
  if (Array.isArray(expected)) {
    const all = Array.isArray(actual) ? actual : [];
    if (all.length !== expected.length) {
      return `${path} must have ${expected.length} of its kind, not ${all.length}`;
    }
    return first(expected.entries(), ([index, one]) =>
      firstDifference(one, all[index], `${path}[${index}]`),
    );
  }
  if (!isObject(expected)) {
    return expected === actual
      ? undefined
      : `${path} is ${printable(actual)}, not ${printable(expected)}`;
  }
  if (!isObject(actual)) return `${path} is ${printable(actual)}`;
  const at = (name: string): string => (path === "" ? name : `${path}.${name}`);
  const unknown = Object.keys(actual).find((name) => !Object.hasOwn(expected, name));
  if (path === CLOSED && unknown !== undefined) {
    return `${path} has ${printable(unknown)}, which is not known`;
  }
  return first(Object.entries(expected), ([name, value]) =>
    firstDifference(value, Object.hasOwn(actual, name) ? actual[name] : undefined, at(name)),
  );
}

function first<T, R>(all: Iterable<T>, find: (one: T) => R | undefined): R | undefined {
  for (const one of all) {
    const found = find(one);
    if (found !== undefined) return found;
  }
  return undefined;
}

function readTimes(statement: Record<string, unknown>): BuildTimes {
  // Its shape was compared already.
  const { predicate } = statement as {
    predicate: { runDetails: { metadata: Record<string, unknown> } };
  };
  const { metadata } = predicate.runDetails;
  const read = (field: string): Date => {
    const text = metadata[field];
    const time = new Date(typeof text === "string" && RFC3339.test(text) ? text : Number.NaN);
    if (!Number.isNaN(time.getTime())) return time;
    throw new ProvenanceRefusedError("malformed", `its ${field} is ${printable(text)}, no time`);
  };
  const times = { startedOn: read("startedOn"), finishedOn: read("finishedOn") };
  if (times.startedOn <= times.finishedOn) return times;
  throw new ProvenanceRefusedError(
    "malformed",
    "it says that the build finished before it started",
  );
}
