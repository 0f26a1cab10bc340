import {
  ApplyApplicationRequest,
  GetApplicationRequest,
  ListApplicationsRequest,
  type Application,
  type ApplicationSpec,
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
}

/** What came of it. */
export interface Applied {
  application: Application;
  /** False if it was so already. */
  changed: boolean;
}

/** What can be built and deployed. */
export interface Applications {
  /** Creates it, or gives it a new revision if the spec differs from the present one. */
  apply(request: ApplyRequest, options?: CallOptions): Promise<Applied>;
  /** @param revision the present one if left out. */
  get(name: string, options?: CallOptions & { revision?: number }): Promise<Application>;
  /** All of them, by name. */
  list(options?: CallOptions): AsyncIterable<Application>;
  listPage(page?: PageRequest, options?: CallOptions): Promise<Page<Application>>;
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
    apply: async ({ name, spec, expectedRevision = 0 }, options) => {
      const request = ApplyApplicationRequest.fromPartial({ name, spec, expectedRevision });
      const { application, changed } = await caller.unary(
        ApplicationServiceService.applyApplication,
        expectedRevision === 0 ? "idempotent" : "once",
        request,
        options,
      );
      return { application: required(application, "ApplyApplication", "application"), changed };
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
    list: (options) => everyItem((pageToken) => listPage({ pageToken }, options)),
    listPage,
  };
}
