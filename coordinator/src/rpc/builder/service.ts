import { BuilderServiceService, type BuilderServiceServer } from "@slipway/proto";
import { BUILDER } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { work } from "./work.js";

export function builderService(handlers: Handlers): ServiceEntry {
  const implementation: BuilderServiceServer = { work: handlers.bidi(BUILDER, work) };
  return { definition: BuilderServiceService, implementation };
}
