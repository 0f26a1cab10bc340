import type { KeyObject } from "node:crypto";
import type { Context } from "../context.js";
import { ProvenanceJudge } from "./judge.js";

/** @throws Error with a one-line reason if signatures are required that could not be checked. */
export function createProvenanceJudge({
  db,
  clock,
  config,
  memberIssuer,
  fleetKeys,
}: Pick<Context, "db" | "clock" | "config" | "memberIssuer" | "fleetKeys">): ProvenanceJudge {
  const { requireProvenance: isRequired } = config;
  if (isRequired && memberIssuer === undefined && fleetKeys === undefined) {
    throw new Error(
      "--require-provenance needs the membership key, to check who signs: give --membership-key, " +
        "or a key set",
    );
  }
  const membershipKeys = (): readonly KeyObject[] | undefined =>
    fleetKeys?.membershipKeys ?? (memberIssuer && [memberIssuer.publicKey]);
  return new ProvenanceJudge({ db, clock, isRequired, membershipKeys });
}
