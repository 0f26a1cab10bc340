import {
  ApplyApplicationRequest,
  GetApplicationRequest,
  ListApplicationsRequest,
  RemoveApplicationRequest,
  type Application,
  type ApplicationSpec,
  type ApplyWarning,
  ApplicationServiceService,
} from "@slipway/proto";
import type { Caller } from "./caller.js";
import { required } from "./errors.js";
import type { CallOptions } from "./options.js";
import { everyItem, type Page, type PageRequest } from "./pages.js";
import type { Input } from "./input.js";

/** An application as it should be. */
export interface ApplyRequest {
  /** Lower-case letters, digits and inner hyphens, 1 to 63 characters. */
  name: string;
  /** What is left out has the default that the protocol gives it. */
  spec: Input<ApplicationSpec>;
  /**
   * Apply only on top of this revision, else fail with ABORTED. Such a call is not made again when
   * its answer is lost, since it would then fail because of itself. Default: on top of any.
   */
  expectedRevision?: number;
  /** Who asks, for people to read. Default empty. */
  actor?: string;
  /** Why, for people to read. Default empty. */
  reason?: string;
}

/** What came of it. */
export interface Applied {
  application: Application;
  /** False if it was so already. */
  changed: boolean;
  /** What was taken as it is, and may not be what was meant: regions that nobody ever had. */
  warnings: ApplyWarning[];
}

/** Who takes an application away, and why. */
export interface RemoveRequest {
  name: string;
  /** Who asks, for people to read. Default empty. */
  actor?: string;
  /** Why, for people to read. Default empty. */
  reason?: string;
}

/** Which applications to list. */
export interface ApplicationFilter {
  /** Also those that were removed, whose `removeTime` is set. Default false. */
  includeRemoved?: boolean;
}

/** What can be built and deployed. */
export interface Applications {
  /** Creates it, or gives it a new revision if the spec differs from the present one. */
  apply(request: ApplyRequest, options?: CallOptions): Promise<Applied>;
  /** @param revision the present one if left out. */
  get(name: string, options?: CallOptions & { revision?: number }): Promise<Application>;
  /** All of them, by name. */
  list(options?: CallOptions & ApplicationFilter): AsyncIterable<Application>;
  listPage(
    page?: PageRequest & ApplicationFilter,
    options?: CallOptions,
  ): Promise<Page<Application>>;
  /**
   * Its hosts stop it and delete it; its deployment under way ends as ABORTED. Removing what is
   * removed changes nothing, applying it again brings it back. Answers it with its `removeTime`.
   * @throws SlipwayError NOT_FOUND if there was never one of that name.
   */
  remove(request: RemoveRequest, options?: CallOptions): Promise<Application>;
}

export function createApplications(caller: Caller): Applications {
  const listPage: Applications["listPage"] = async (page = {}, options) => {
    const request = ListApplicationsRequest.fromPartial(page);
    const { applications, nextPageToken } = await caller.unary(
      ApplicationServiceService.listApplications,
      "idempotent",
      request,
      options,
    );
    return { items: applications, nextPageToken };
  };
  return {
    apply: async ({ expectedRevision = 0, ...fields }, options) => {
      const request = ApplyApplicationRequest.fromPartial({ ...fields, expectedRevision });
      const { application, changed, warnings } = await caller.unary(
        ApplicationServiceService.applyApplication,
        expectedRevision === 0 ? "idempotent" : "once",
        request,
        options,
      );
      const applied = required(application, "ApplyApplication", "application");
      return { application: applied, changed, warnings };
    },
    get: async (name, options) => {
      const revision = options?.revision ?? 0;
      const request = GetApplicationRequest.fromPartial({ name, revision });
      const { application } = await caller.unary(
        ApplicationServiceService.getApplication,
        "idempotent",
        request,
        options,
      );
      return required(application, "GetApplication", "application");
    },
    list: (options) =>
      everyItem((pageToken) => {
        return listPage({ pageToken, includeRemoved: options?.includeRemoved ?? false }, options);
      }),
    listPage,
    remove: async (fields, options) => {
      const { application } = await caller.unary(
        ApplicationServiceService.removeApplication,
        "idempotent",
        RemoveApplicationRequest.fromPartial(fields),
        options,
      );
      return required(application, "RemoveApplication", "application");
    },
  };
}
