import { ApplicationServiceService, type ApplicationServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import { applyApplication } from "./apply-application.js";
import { getApplication } from "./get-application.js";
import { listApplications } from "./list-applications.js";
import { removeApplication } from "./remove-application.js";

export function applicationService(handlers: Handlers): ServiceEntry {
  const implementation: ApplicationServiceServer = {
    applyApplication: handlers.unary(applyApplication),
    getApplication: handlers.unary(getApplication),
    removeApplication: handlers.unary(removeApplication),
    listApplications: handlers.unary(listApplications),
  };
  return { definition: ApplicationServiceService, implementation };
}
