export { createClient, type Client } from "./client.js";
export type {
  CallOptions,
  ClientOptions,
  Retry,
  RetryOptions,
  TlsOptions,
  WatchOptions,
} from "./options.js";
export { SlipwayError, type ClientReason, type ErrorCode } from "./errors.js";

export type { Applications, Applied, ApplyRequest } from "./applications.js";
export type { BuildFilter, Builds, LogRequest, Submitted, SubmitRequest } from "./builds.js";
export { isFinalBuild, type BuildEvent, type BuildWatchRequest } from "./build-watch.js";
export type { ChangeRequest, DeployRequest, Deployments, RollBackTo } from "./deployments.js";
export { isFinalDeployment, type DeploymentProgress } from "./deployment-watch.js";
export type { Fleet, HostFilter, HostPage } from "./fleet.js";
export type { Replications } from "./replication.js";
export type { Page, PageRequest } from "./pages.js";
export type { Input } from "./input.js";

// The protocol's own types that requests and answers are made of.
export {
  ArtifactFormat,
  BuildFailureReason,
  BuildStatus,
  DeploymentFailureReason,
  DeploymentState,
  HostFailureReason,
  HostPhase,
  LogSource,
  ReplicationState,
  durationFromMs,
  durationToMs,
} from "@slipway/proto";
export type {
  Application,
  ApplicationSpec,
  Artifact,
  Build,
  BuildFailure,
  BuildSpec,
  CommandCheck,
  Deployment,
  DeploymentFailure,
  EnrolledHost,
  FieldViolation,
  GenerationAhead,
  HealthCheck,
  Host,
  HostApplicationStatus,
  HostFailure,
  HostFailureSample,
  HostStatus,
  LogLine,
  PhaseCount,
  Region,
  RegionAgentStatus,
  RegionApplicationStatus,
  RegionProgress,
  Replication,
  RunningCount,
  RunSpec,
  SourceSpec,
} from "@slipway/proto";
