import type { GetBuildProvenanceRequest, GetBuildProvenanceResponse } from "@slipway/proto";
import { getBuild } from "../../build/store.js";
import type { Context } from "../../context.js";
import { DomainError } from "../../errors.js";
import { status } from "@grpc/grpc-js";
import { readProvenance } from "../../provenance/store.js";
import { Violations } from "../../validate.js";

export async function getBuildProvenance(
  context: Context,
  { id }: GetBuildProvenanceRequest,
): Promise<GetBuildProvenanceResponse> {
  const found = new Violations();
  found.uuid("id", id);
  found.throwIfAny();
  const kept = await readProvenance(context.db, id);
  if (kept !== undefined) return kept;
  const { build } = await getBuild(context.db, id);
  const message =
    build.artifact === undefined
      ? `build ${id} has made nothing that could be signed`
      : `build ${id} is not signed: builder ${build.builderId} had no identity to sign it with`;
  throw new DomainError(status.NOT_FOUND, message, { reason: "PROVENANCE_NOT_FOUND" });
}
