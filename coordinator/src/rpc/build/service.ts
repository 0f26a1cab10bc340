import { BuildServiceService, type BuildServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import { cancelBuild } from "./cancel-build.js";
import { getBuild } from "./get-build.js";
import { listBuilds } from "./list-builds.js";
import { submitBuild } from "./submit-build.js";
import { watchBuild } from "./watch-build.js";

export function buildService(handlers: Handlers): ServiceEntry {
  const implementation: BuildServiceServer = {
    submitBuild: handlers.unary(submitBuild),
    getBuild: handlers.unary(getBuild),
    listBuilds: handlers.unary(listBuilds),
    cancelBuild: handlers.unary(cancelBuild),
    watchBuild: handlers.stream(watchBuild),
  };
  return { definition: BuildServiceService, implementation };
}
