import {
  DeploymentServiceService,
  type DeploymentServiceServer,
  type PlanDeploymentRequest,
} from "@slipway/proto";
import {
  application,
  build,
  deployer,
  deployment,
  filter,
  viewer,
  type Scope,
} from "../../auth/rules.js";
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

const PLANNED: Scope<PlanDeploymentRequest> = {
  kind: "application",
  of: ({ change }, find) => {
    if (change?.$case === "create") return find.ofBuild(change.value.buildId);
    return change === undefined ? [] : [change.value.application];
  },
};

export function deploymentService(handlers: Handlers): ServiceEntry {
  const implementation: DeploymentServiceServer = {
    createDeployment: handlers.unary(
      deployer(
        build(({ buildId }) => buildId),
        "creator",
      ),
      createDeployment,
    ),
    getDeployment: handlers.unary(viewer(deployment(({ id }) => id)), getDeployment),
    listDeployments: handlers.unary(
      viewer(filter(({ application: name }) => name)),
      listDeployments,
    ),
    watchDeployment: handlers.pushed(viewer(deployment(({ id }) => id)), watchDeployment),
    rollBack: handlers.unary(
      deployer(
        application(({ application: name }) => name),
        "creator",
      ),
      rollBack,
    ),
    planDeployment: handlers.unary(viewer(PLANNED), planDeployment),
    pauseDeployment: handlers.unary(
      deployer(
        deployment(({ id }) => id),
        "actor",
      ),
      pauseDeployment,
    ),
    resumeDeployment: handlers.unary(
      deployer(
        deployment(({ id }) => id),
        "actor",
      ),
      resumeDeployment,
    ),
    promoteDeployment: handlers.unary(
      deployer(
        deployment(({ id }) => id),
        "actor",
      ),
      promoteDeployment,
    ),
    abortDeployment: handlers.unary(
      deployer(
        deployment(({ id }) => id),
        "actor",
      ),
      abortDeployment,
    ),
  };
  return { definition: DeploymentServiceService, implementation };
}
