import { randomUUID } from "node:crypto";
import {
  AbortDeploymentRequest,
  CreateDeploymentRequest,
  DeploymentServiceService,
  GetDeploymentRequest,
  ListDeploymentsRequest,
  PauseDeploymentRequest,
  PlanDeploymentRequest,
  PromoteDeploymentRequest,
  ResumeDeploymentRequest,
  RollBackRequest,
  type PlanDeploymentResponse,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import type {
  AbortRequest,
  Deployments,
  DeployRequest,
  PromoteRequest,
  RollBackTo,
} from "./deployment-requests.js";
import { deploymentWatchPlan, isFinalDeployment } from "./deployment-watch.js";
import type { DeploymentProgress } from "./deployment-watch.js";
import { required } from "./errors.js";
import type { CallOptions } from "./options.js";
import { everyItem } from "./pages.js";
import { watch } from "./watch.js";

export function createDeployments(caller: Caller): Deployments {
  const listPage: Deployments["listPage"] = async (filter = {}, options) => {
    const request = ListDeploymentsRequest.fromPartial(filter);
    const { deployments, nextPageToken } = await caller.unary(
      DeploymentServiceService.listDeployments,
      "idempotent",
      request,
      options,
    );
    return { items: deployments, nextPageToken };
  };
  const watchOne: Deployments["watch"] = (id, options) =>
    watch(caller, deploymentWatchPlan(id), options);

  const plan = (
    change: PlanDeploymentRequest["change"],
    options: CallOptions | undefined,
  ): Promise<PlanDeploymentResponse> =>
    caller.unary(
      DeploymentServiceService.planDeployment,
      "idempotent",
      PlanDeploymentRequest.fromPartial(change === undefined ? {} : { change }),
      options,
    );

  return {
    create: async (request, options) => {
      const { deployment } = await caller.unary(
        DeploymentServiceService.createDeployment,
        "idempotent",
        createRequest(request),
        options,
      );
      return required(deployment, "CreateDeployment", "deployment");
    },
    get: async (id, options) => {
      const request = GetDeploymentRequest.fromPartial({ id });
      const { deployment, ...progress } = await caller.unary(
        DeploymentServiceService.getDeployment,
        "idempotent",
        request,
        options,
      );
      return { deployment: required(deployment, "GetDeployment", "deployment"), ...progress };
    },
    list: (filter, options) =>
      everyItem((pageToken) => listPage({ ...filter, pageToken }, options)),
    listPage,
    watch: watchOne,
    waitUntilFinished: async (id, options) => {
      for await (const progress of watchOne(id, options)) {
        if (isFinalDeployment(progress.deployment)) return progress;
      }
      return required<DeploymentProgress>(undefined, "WatchDeployment", "final state");
    },
    rollBack: async (request, options) => {
      const { deployment } = await caller.unary(
        DeploymentServiceService.rollBack,
        "idempotent",
        rollBackRequest(request),
        options,
      );
      return required(deployment, "RollBack", "deployment");
    },
    plan: (request, options) => plan({ $case: "create", value: createRequest(request) }, options),
    planRollBack: (request, options) =>
      plan({ $case: "rollBack", value: rollBackRequest(request) }, options),
    pause: async (id, request = {}, options) => {
      const { deployment } = await caller.unary(
        DeploymentServiceService.pauseDeployment,
        "idempotent",
        PauseDeploymentRequest.fromPartial({ ...request, id }),
        options,
      );
      return required(deployment, "PauseDeployment", "deployment");
    },
    resume: async (id, request = {}, options) => {
      const { deployment } = await caller.unary(
        DeploymentServiceService.resumeDeployment,
        "idempotent",
        ResumeDeploymentRequest.fromPartial({ ...request, id }),
        options,
      );
      return required(deployment, "ResumeDeployment", "deployment");
    },
    promote: async (id, request: PromoteRequest, options) => {
      const { deployment } = await caller.unary(
        DeploymentServiceService.promoteDeployment,
        "once",
        PromoteDeploymentRequest.fromPartial({ ...request, id }),
        options,
      );
      return required(deployment, "PromoteDeployment", "deployment");
    },
    abort: async (id, request: AbortRequest = {}, options) => {
      const { deployment, rollBack } = await caller.unary(
        DeploymentServiceService.abortDeployment,
        "idempotent",
        AbortDeploymentRequest.fromPartial({ ...request, id }),
        options,
      );
      return { deployment: required(deployment, "AbortDeployment", "deployment"), rollBack };
    },
  };
}

function createRequest({ idempotencyKey = randomUUID(), ...fields }: DeployRequest) {
  return CreateDeploymentRequest.fromPartial({ ...fields, idempotencyKey });
}

function rollBackRequest({ idempotencyKey = randomUUID(), ...fields }: RollBackTo) {
  return RollBackRequest.fromPartial({ ...fields, idempotencyKey });
}
