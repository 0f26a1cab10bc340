import { DeploymentServiceService, type DeploymentServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import { createDeployment } from "./create-deployment.js";
import { getDeployment } from "./get-deployment.js";
import { listDeployments } from "./list-deployments.js";
import { rollBack } from "./roll-back.js";
import { watchDeployment } from "./watch-deployment.js";

export function deploymentService(handlers: Handlers): ServiceEntry {
  const implementation: DeploymentServiceServer = {
    createDeployment: handlers.unary(createDeployment),
    getDeployment: handlers.unary(getDeployment),
    listDeployments: handlers.unary(listDeployments),
    watchDeployment: handlers.stream(watchDeployment),
    rollBack: handlers.unary(rollBack),
    planDeployment: handlers.unary(() => Promise.reject(new Error("not yet"))),
    pauseDeployment: handlers.unary(() => Promise.reject(new Error("not yet"))),
    resumeDeployment: handlers.unary(() => Promise.reject(new Error("not yet"))),
    promoteDeployment: handlers.unary(() => Promise.reject(new Error("not yet"))),
    abortDeployment: handlers.unary(() => Promise.reject(new Error("not yet"))),
  };
  return { definition: DeploymentServiceService, implementation };
}
