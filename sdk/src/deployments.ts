import { randomUUID } from "node:crypto";
import {
  CreateDeploymentRequest,
  GetDeploymentRequest,
  ListDeploymentsRequest,
  RollBackRequest,
  type Deployment,
  DeploymentServiceService,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import { deploymentWatchPlan, isFinalDeployment } from "./deployment-watch.js";
import type { DeploymentProgress } from "./deployment-watch.js";
import { required } from "./errors.js";
import type { CallOptions, WatchOptions } from "./options.js";
import { everyItem, type Page, type PageRequest } from "./pages.js";
import { watch } from "./watch.js";

/** Who changes what runs, and why. */
export interface ChangeRequest {
  /** Who asks, for people to read. Default empty. */
  creator?: string;
  /** Why, for people to read. Default empty. */
  reason?: string;
  /**
   * Names this change for ever: the same key answers the same deployment. Default: a new one for
   * each call, so that a call whose answer was lost can be made again without a second deployment.
   */
  idempotencyKey?: string;
}

/** What should run. */
export interface DeployRequest extends ChangeRequest {
  buildId: string;
  /** Start once the build is deployable, instead of refusing one that is not. Default false. */
  waitForReplication?: boolean;
}

/** What should run again. */
export interface RollBackTo extends ChangeRequest {
  application: string;
  /** Default: what ran before the present release. */
  toBuildId?: string;
}

/** Changes of what should run. */
export interface Deployments {
  /** Makes a build the goal in all regions of its application. */
  create(request: DeployRequest, options?: CallOptions): Promise<Deployment>;
  get(id: string, options?: CallOptions): Promise<DeploymentProgress>;
  /** All, or all of one application, newest first. */
  list(filter?: { application?: string }, options?: CallOptions): AsyncIterable<Deployment>;
  listPage(
    filter?: { application?: string } & PageRequest,
    options?: CallOptions,
  ): Promise<Page<Deployment>>;
  /**
   * The present state, then changes; ends after the final state, which comes last and once, however
   * often the connection breaks. A slow reader gets the newest state, not each one between.
   */
  watch(id: string, options?: WatchOptions): AsyncIterable<DeploymentProgress>;
  /**
   * Waits for the final state and answers it: SUCCEEDED, FAILED or SUPERSEDED. To bound the whole
   * wait, give a signal, such as `AbortSignal.timeout(ms)`.
   */
  waitUntilFinished(id: string, options?: WatchOptions): Promise<DeploymentProgress>;
  /** Deploys an earlier build again, with its application revision. */
  rollBack(request: RollBackTo, options?: CallOptions): Promise<Deployment>;
}

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

  return {
    create: async ({ idempotencyKey = randomUUID(), ...fields }, options) => {
      const request = CreateDeploymentRequest.fromPartial({ ...fields, idempotencyKey });
      const { deployment } = await caller.unary(
        DeploymentServiceService.createDeployment,
        "idempotent",
        request,
        options,
      );
      return required(deployment, "CreateDeployment", "deployment");
    },
    get: async (id, options) => {
      const request = GetDeploymentRequest.fromPartial({ id });
      const { deployment, regions } = await caller.unary(
        DeploymentServiceService.getDeployment,
        "idempotent",
        request,
        options,
      );
      return { deployment: required(deployment, "GetDeployment", "deployment"), regions };
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
    rollBack: async ({ idempotencyKey = randomUUID(), ...fields }, options) => {
      const request = RollBackRequest.fromPartial({ ...fields, idempotencyKey });
      const { deployment } = await caller.unary(
        DeploymentServiceService.rollBack,
        "idempotent",
        request,
        options,
      );
      return required(deployment, "RollBack", "deployment");
    },
  };
}
