import { FreezeServiceService, type FreezeServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import { createFreeze } from "./create-freeze.js";
import { endFreeze } from "./end-freeze.js";
import { listFreezes } from "./list-freezes.js";

export function freezeService(handlers: Handlers): ServiceEntry {
  const implementation: FreezeServiceServer = {
    createFreeze: handlers.unary(createFreeze),
    listFreezes: handlers.unary(listFreezes),
    endFreeze: handlers.unary(endFreeze),
  };
  return { definition: FreezeServiceService, implementation };
}
