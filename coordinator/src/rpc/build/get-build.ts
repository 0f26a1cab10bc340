import type { GetBuildRequest, GetBuildResponse } from "@slipway/proto";
import { getBuild as readBuild } from "../../build/store.js";
import { viewBuild } from "../../build/view.js";
import type { Context } from "../../context.js";
import { readSummary } from "../../provenance/store.js";
import { Violations } from "../../validate.js";

export async function getBuild(
  context: Context,
  { id }: GetBuildRequest,
): Promise<GetBuildResponse> {
  const found = new Violations();
  found.uuid("id", id);
  found.throwIfAny();
  const build = await viewBuild(context, await readBuild(context.db, id));
  if (build.artifact === undefined) return { build };
  return { build: { ...build, provenance: await readSummary(context.db, id) } };
}
