import { randomUUID } from "node:crypto";
import {
  CancelBuildRequest,
  GetBuildRequest,
  ListBuildsRequest,
  SubmitBuildRequest,
  type Build,
  type BuildStatus,
  type LogLine,
  BuildServiceService,
} from "@slipway/proto";
import { createApplications } from "./applications.js";
import { buildWatchPlan, isFinalBuild } from "./build-watch.js";
import type { BuildEvent, BuildWatchRequest } from "./build-watch.js";
import type { Caller } from "./caller.js";
import { required } from "./errors.js";
import type { CallOptions, WatchOptions } from "./options.js";
import {
  type BuildProvenance,
  getProvenance,
  type Readers,
  type VerifiedBuild,
  verifyBuild,
  type VerifyRequest,
} from "./provenance.js";
import { everyItem, type Page, type PageRequest } from "./pages.js";
import { watch } from "./watch.js";

/** Which commit of what to build. */
export interface SubmitRequest {
  application: string;
  /** The full SHA. */
  commitSha: string;
  /**
   * Names this submission for ever: the same key answers the same build. Default: a new one for
   * each call, so that a call whose answer was lost can be made again without a second build.
   */
  idempotencyKey?: string;
  /** Who submits, for people to read. Default empty. */
  submitter?: string;
}

/** A build that was asked for. */
export interface Submitted {
  build: Build;
  /** Names this caller's part in it; `cancel` takes it. */
  submissionId: string;
  /** True if the build was there already. */
  merged: boolean;
}

/** Which builds to list; everything left out takes all. */
export interface BuildFilter {
  application?: string;
  status?: BuildStatus;
  commitSha?: string;
}

/** Which of a build's log lines to read. */
export interface LogRequest {
  /** Go on until the build has ended. False: end after the lines that are kept now. Default true. */
  follow?: boolean;
  /** Only lines after this sequence: 0, the default, is all of them. */
  afterSequence?: number;
}

/** Which part in a build to take back, by whom and why. */
export interface CancelRequest {
  /** What `submit` answered. Default: the build is cancelled for everybody. */
  submissionId?: string;
  /** Who asks, for people to read. Default empty. */
  actor?: string;
  /** Why, for people to read. Default empty. */
  reason?: string;
}

/** Attempts to turn a commit into an artifact. */
export interface Builds {
  /** Queues a build, or joins the one of the same application revision and commit under way. */
  submit(request: SubmitRequest, options?: CallOptions): Promise<Submitted>;
  get(id: string, options?: CallOptions): Promise<Build>;
  /**
   * What its builder signed.
   * @throws SlipwayError NOT_FOUND, reason PROVENANCE_NOT_FOUND, if it signed nothing.
   */
  provenance(id: string, options?: CallOptions): Promise<BuildProvenance>;
  /**
   * Checks here what its builder signed: the signature, that the builder was a member of the fleet when
   * the build ended, and that it is of this build and its artifact, commit and repository.
   * @throws ProvenanceRefusedError saying what does not fit, or that there is nothing; TypeError for
   *   keys that are none.
   */
  verify(id: string, request: CallOptions & VerifyRequest): Promise<VerifiedBuild>;
  /** All that fit, newest first. */
  list(filter?: BuildFilter, options?: CallOptions): AsyncIterable<Build>;
  listPage(filter?: BuildFilter & PageRequest, options?: CallOptions): Promise<Page<Build>>;
  /**
   * Takes one submission back; the build is cancelled when its last one is, or at once if none is
   * named. Not made again when its answer is lost.
   */
  cancel(id: string, options?: CallOptions & CancelRequest): Promise<Build>;
  /**
   * The present state, every change, and the log lines if asked for; ends after the final state,
   * which comes last and once, however often the connection breaks.
   */
  watch(id: string, options?: WatchOptions & BuildWatchRequest): AsyncIterable<BuildEvent>;
  /** Its log lines, each once and in order, however often the connection breaks. */
  logs(id: string, options?: WatchOptions & LogRequest): AsyncIterable<LogLine>;
  /**
   * Waits for the final state and answers the build, SUCCEEDED or FAILED. To bound the whole wait,
   * give a signal, such as `AbortSignal.timeout(ms)`.
   */
  waitUntilFinished(id: string, options?: WatchOptions): Promise<Build>;
  /** As `waitUntilFinished`, but after SUCCEEDED waits until it is deployable too. */
  waitUntilDeployable(id: string, options?: WatchOptions): Promise<Build>;
}

export function createBuilds(caller: Caller): Builds {
  const listPage: Builds["listPage"] = async (filter = {}, options) => {
    const request = ListBuildsRequest.fromPartial(filter);
    const { builds, nextPageToken } = await caller.unary(
      BuildServiceService.listBuilds,
      "idempotent",
      request,
      options,
    );
    return { items: builds, nextPageToken };
  };

  const waitFor = async (
    id: string,
    untilDeployable: boolean,
    options?: WatchOptions,
  ): Promise<Build> => {
    for await (const event of watch(caller, buildWatchPlan(id, { untilDeployable }), options)) {
      if (event.type === "build" && isFinalBuild(event.build, untilDeployable)) return event.build;
    }
    return required<Build>(undefined, "WatchBuild", "final state");
  };

  const get: Builds["get"] = async (id, options) => {
    const request = GetBuildRequest.fromPartial({ id });
    const { build } = await caller.unary(
      BuildServiceService.getBuild,
      "idempotent",
      request,
      options,
    );
    return required(build, "GetBuild", "build");
  };
  const provenance: Builds["provenance"] = (id, options) => getProvenance(caller, id, options);
  const applications = createApplications(caller);
  const readers: Readers = {
    build: get,
    provenance,
    application: (name, options) => applications.get(name, options),
  };

  return {
    submit: async ({ idempotencyKey = randomUUID(), ...fields }, options) => {
      const request = SubmitBuildRequest.fromPartial({ ...fields, idempotencyKey });
      const { build, submissionId, merged } = await caller.unary(
        BuildServiceService.submitBuild,
        "idempotent",
        request,
        options,
      );
      return { build: required(build, "SubmitBuild", "build"), submissionId, merged };
    },
    get,
    provenance,
    verify: (id, { membershipPublicKeys, repository, commitSha, ...options }) => {
      const wanted = {
        membershipPublicKeys,
        ...(repository === undefined ? {} : { repository }),
        ...(commitSha === undefined ? {} : { commitSha }),
      };
      return verifyBuild(readers, id, wanted, options);
    },
    list: (filter, options) =>
      everyItem((pageToken) => listPage({ ...filter, pageToken }, options)),
    listPage,
    cancel: async (id, options) => {
      const { submissionId = "", actor = "", reason = "" } = options ?? {};
      const request = CancelBuildRequest.fromPartial({ id, submissionId, actor, reason });
      const { build } = await caller.unary(
        BuildServiceService.cancelBuild,
        "once",
        request,
        options,
      );
      return required(build, "CancelBuild", "build");
    },
    watch: (id, options = {}) => watch(caller, buildWatchPlan(id, options), options),
    logs: async function* (id, options = {}) {
      const { follow = true, afterSequence = 0 } = options;
      const plan = buildWatchPlan(id, {
        logs: true,
        afterLogSequence: afterSequence,
        untilCaughtUp: !follow,
      });
      for await (const event of watch(caller, plan, options)) {
        if (event.type === "log") yield event.line;
      }
    },
    waitUntilFinished: (id, options) => waitFor(id, false, options),
    waitUntilDeployable: (id, options) => waitFor(id, true, options),
  };
}
