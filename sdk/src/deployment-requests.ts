import type { Deployment, PlanDeploymentResponse, Strategy } from "@slipway/proto";
import type { DeploymentProgress } from "./deployment-watch.js";
import type { Input } from "./input.js";
import type { CallOptions, WatchOptions } from "./options.js";
import type { Page, PageRequest } from "./pages.js";

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
  /** How to go about it. Default: the application's. What is left out takes the protocol's default. */
  strategy?: Input<Strategy>;
  /** Deploy although the application or one of its regions is frozen; needs a `reason`. Default false. */
  overrideFreeze?: boolean;
}

/** What should run again. */
export interface RollBackTo extends ChangeRequest {
  application: string;
  /** Default: what ran before the present release. */
  toBuildId?: string;
}

/** Who steers a deployment, and why. */
export interface SteerRequest {
  /** Who asks. Default empty; a wave that needs approval takes no empty one. */
  actor?: string;
  /** Why, for people to read. Default empty. */
  reason?: string;
}

/** Which step may begin. */
export interface PromoteRequest extends SteerRequest {
  /** The step that is to begin, counted from 1: promoting it twice lets no other begin. */
  step: number;
}

/** How to end a deployment. */
export interface AbortRequest extends SteerRequest {
  /** Leave hosts that have switched as they are, instead of putting back what ran. Default false. */
  keepSwitched?: boolean;
}

/** What an abort did. */
export interface Aborted {
  deployment: Deployment;
  /** The deployment that puts back what ran before, if one was needed. */
  rollBack: Deployment | undefined;
}

/** Changes of what should run. Unknown ids and names are SlipwayErrors NOT_FOUND. */
export interface Deployments {
  /**
   * Makes a build the goal in all regions of its application.
   * @throws SlipwayError FAILED_PRECONDITION, with a `reason` that says which: the build did not
   *   succeed or is not deployable, no host is enrolled for it, or there is a freeze (FROZEN).
   */
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
   * Waits for the final state and answers it: SUCCEEDED, FAILED, SUPERSEDED or ABORTED. A deployment
   * that is paused, or waits for somebody, is waited for as well. To bound the whole wait, give a
   * signal, such as `AbortSignal.timeout(ms)`.
   */
  waitUntilFinished(id: string, options?: WatchOptions): Promise<DeploymentProgress>;
  /**
   * Deploys an earlier build again, with its application revision.
   * @throws SlipwayError FAILED_PRECONDITION if there is nothing to go back to.
   */
  rollBack(request: RollBackTo, options?: CallOptions): Promise<Deployment>;
  /** What `create` would do, with its errors: steps, hosts and bytes by region. Changes nothing. */
  plan(request: DeployRequest, options?: CallOptions): Promise<PlanDeploymentResponse>;
  /** What `rollBack` would do, with its errors. Changes nothing. */
  planRollBack(request: RollBackTo, options?: CallOptions): Promise<PlanDeploymentResponse>;
  /**
   * No further host is told to switch, until `resume`. Pausing what is paused changes nothing.
   * @throws SlipwayError FAILED_PRECONDITION if it has ended; so do the three below.
   */
  pause(id: string, request?: SteerRequest, options?: CallOptions): Promise<Deployment>;
  /** Goes on with a paused one. Resuming what is not paused changes nothing. */
  resume(id: string, request?: SteerRequest, options?: CallOptions): Promise<Deployment>;
  /**
   * Lets the step begin that a deployment waits for (WAITING). Not made again when its answer is
   * lost.
   * @throws SlipwayError FAILED_PRECONDITION if it does not wait for this step, or needs the approval
   *   of somebody else.
   */
  promote(id: string, request: PromoteRequest, options?: CallOptions): Promise<Deployment>;
  /** Ends it as ABORTED. Aborting what is ABORTED changes nothing. */
  abort(id: string, request?: AbortRequest, options?: CallOptions): Promise<Aborted>;
}
