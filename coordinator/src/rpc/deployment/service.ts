import { DeploymentServiceService, type DeploymentServiceServer } from "@slipway/proto";
import type { Handlers, ServiceEntry } from "../handler.js";
import {
  abortDeployment,
  pauseDeployment,
  promoteDeployment,
  resumeDeployment,
} from "./change-deployment.js";
import { createDeployment } from "./create-deployment.js";
import { getDeployment } from "./get-deployment.js";
import { listDeployments } from "./list-deployments.js";
import { planDeployment } from "./plan-deployment.js";
import { rollBack } from "./roll-back.js";
import { watchDeployment } from "./watch-deployment.js";

export function deploymentService(handlers: Handlers): ServiceEntry {
  const implementation: DeploymentServiceServer = {
    createDeployment: handlers.unary(createDeployment),
    getDeployment: handlers.unary(getDeployment),
    listDeployments: handlers.unary(listDeployments),
    watchDeployment: handlers.stream(watchDeployment),
    rollBack: handlers.unary(rollBack),
    planDeployment: handlers.unary(planDeployment),
    pauseDeployment: handlers.unary(pauseDeployment),
    resumeDeployment: handlers.unary(resumeDeployment),
    promoteDeployment: handlers.unary(promoteDeployment),
    abortDeployment: handlers.unary(abortDeployment),
  };
  return { definition: DeploymentServiceService, implementation };
}
