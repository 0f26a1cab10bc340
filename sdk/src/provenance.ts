import { createPublicKey, type KeyObject } from "node:crypto";
import {
  type Application,
  type Build,
  GetBuildProvenanceRequest,
  BuildServiceService,
  ProvenanceRefusedError,
  type ProvenanceSummary,
  type SignedProvenance,
  type VerifiedProvenance,
  verifyProvenance,
  withoutCredentials,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import { required, SlipwayError } from "./errors.js";
import type { CallOptions } from "./options.js";

/** Who built what from which commit, as the builder signed it. */
export interface BuildProvenance {
  /** A DSSE envelope as JSON: what `cosign` and other tools read. */
  envelope: string;
  signed: SignedProvenance;
  /** What the coordinator found when it took it. */
  summary: ProvenanceSummary;
}

/** By what a build's provenance is checked. */
export interface VerifyRequest {
  /**
   * The fleet's membership public keys, of which one must have signed the builder's certificate: an
   * Ed25519 key each, or its PEM (SPKI).
   */
  membershipPublicKeys: readonly (KeyObject | string)[];
  /** Where the source must have come from. Default: what the coordinator says of the application. */
  repository?: string;
  /** Which commit it must have been. Default: what the coordinator says of the build. */
  commitSha?: string;
}

/** A build whose provenance fits it. */
export interface VerifiedBuild {
  build: Build;
  /** Without credentials. */
  repository: string;
  provenance: VerifiedProvenance;
}

export async function getProvenance(
  caller: Caller,
  id: string,
  options?: CallOptions,
): Promise<BuildProvenance> {
  const { provenance, summary } = await caller.unary(
    BuildServiceService.getBuildProvenance,
    "idempotent",
    GetBuildProvenanceRequest.fromPartial({ id }),
    options,
  );
  const signed = required(provenance, "GetBuildProvenance", "provenance");
  return {
    envelope: signed.envelope.toString("utf8"),
    signed,
    summary: required(summary, "GetBuildProvenance", "summary"),
  };
}

/** How the parts of a check are read. */
export interface Readers {
  build: (id: string, options?: CallOptions) => Promise<Build>;
  provenance: (id: string, options?: CallOptions) => Promise<BuildProvenance>;
  application: (
    name: string,
    options?: CallOptions & { revision?: number },
  ) => Promise<Application>;
}

export async function verifyBuild(
  read: Readers,
  id: string,
  { membershipPublicKeys, ...wanted }: VerifyRequest,
  options?: CallOptions,
): Promise<VerifiedBuild> {
  const membershipKeys = membershipPublicKeys.map(membershipKey);
  const build = await read.build(id, options);
  const { artifact, application, applicationRevision, finishTime } = build;
  if (artifact === undefined || finishTime === undefined) {
    throw new ProvenanceRefusedError(
      "missing",
      `build ${id} has made nothing that could be signed`,
    );
  }
  const { signed } = await read.provenance(id, options).catch((error: unknown) => {
    if (!(error instanceof SlipwayError) || error.reason !== "PROVENANCE_NOT_FOUND") throw error;
    throw new ProvenanceRefusedError("missing", error.message, { cause: error });
  });
  const { spec } = await read.application(application, {
    ...options,
    revision: applicationRevision,
  });
  const { repository = spec?.source?.repository ?? "", commitSha = build.commitSha } = wanted;
  const facts = {
    buildId: build.id,
    attempt: build.attempt,
    builderId: build.builderId,
    application,
    applicationRevision,
    repository,
    commitSha,
    command: spec?.build?.command ?? [],
    artifact,
  };
  const provenance = verifyProvenance(signed, { facts, membershipKeys, time: finishTime });
  return { build, repository: withoutCredentials(repository), provenance };
}

/** @throws TypeError */
function membershipKey(key: KeyObject | string): KeyObject {
  let read: KeyObject;
  try {
    // The public key could be had of the private one, which has no business where builds are checked.
    if (typeof key === "string" && key.includes("PRIVATE KEY")) throw new Error("a private key");
    read = typeof key === "string" ? createPublicKey(key) : key;
  } catch (error) {
    throw new TypeError("a membership public key is no public key in PEM", { cause: error });
  }
  if (read.type === "public" && read.asymmetricKeyType === "ed25519") return read;
  throw new TypeError("a membership public key must be an Ed25519 public key");
}
