import { ApplicationServiceService, type ApplicationServiceServer } from "@slipway/proto";
import { admin, application, free, viewer } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { applyApplication } from "./apply-application.js";
import { getApplication } from "./get-application.js";
import { listApplications } from "./list-applications.js";
import { removeApplication } from "./remove-application.js";

export function applicationService(handlers: Handlers): ServiceEntry {
  const implementation: ApplicationServiceServer = {
    applyApplication: handlers.unary(
      admin(
        application(({ name }) => name),
        "actor",
      ),
      applyApplication,
    ),
    getApplication: handlers.unary(viewer(application(({ name }) => name)), getApplication),
    removeApplication: handlers.unary(
      admin(
        application(({ name }) => name),
        "actor",
      ),
      removeApplication,
    ),
    listApplications: handlers.unary(viewer(free), listApplications),
  };
  return { definition: ApplicationServiceService, implementation };
}
