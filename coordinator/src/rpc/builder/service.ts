import { BuilderServiceService, type BuilderServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import { work } from "./work.js";

export function builderService(handlers: Handlers): ServiceEntry {
  const implementation: BuilderServiceServer = { work: handlers.bidi(work) };
  return { definition: BuilderServiceService, implementation };
}
