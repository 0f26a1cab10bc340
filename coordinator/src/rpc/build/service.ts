import { BuildServiceService, type BuildServiceServer } from "@slipway/proto";
import { application, build, deployer, filter, viewer } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { cancelBuild } from "./cancel-build.js";
import { getBuildProvenance } from "./get-build-provenance.js";
import { getBuild } from "./get-build.js";
import { listBuilds } from "./list-builds.js";
import { submitBuild } from "./submit-build.js";
import { watchBuild } from "./watch-build.js";

export function buildService(handlers: Handlers): ServiceEntry {
  const implementation: BuildServiceServer = {
    submitBuild: handlers.unary(
      deployer(
        application(({ application: name }) => name),
        "submitter",
      ),
      submitBuild,
    ),
    getBuild: handlers.unary(viewer(build(({ id }) => id)), getBuild),
    getBuildProvenance: handlers.unary(viewer(build(({ id }) => id)), getBuildProvenance),
    listBuilds: handlers.unary(viewer(filter(({ application: name }) => name)), listBuilds),
    cancelBuild: handlers.unary(
      deployer(
        build(({ id }) => id),
        "actor",
      ),
      cancelBuild,
    ),
    watchBuild: handlers.stream(viewer(build(({ id }) => id)), watchBuild),
  };
  return { definition: BuildServiceService, implementation };
}
