import { FreezeServiceService, type FreezeServiceServer } from "@slipway/proto";
import { application, deployer, free, freeze, viewer } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { createFreeze } from "./create-freeze.js";
import { endFreeze } from "./end-freeze.js";
import { listFreezes } from "./list-freezes.js";

export function freezeService(handlers: Handlers): ServiceEntry {
  const implementation: FreezeServiceServer = {
    createFreeze: handlers.unary(
      deployer(
        application(({ application: name }) => name),
        "actor",
      ),
      createFreeze,
    ),
    listFreezes: handlers.unary(viewer(free), listFreezes),
    endFreeze: handlers.unary(
      deployer(
        freeze(({ id }) => id),
        "actor",
      ),
      endFreeze,
    ),
  };
  return { definition: FreezeServiceService, implementation };
}
