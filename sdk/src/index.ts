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

export type {
  ApplicationFilter,
  Applications,
  Applied,
  ApplyRequest,
  RemoveRequest,
} from "./applications.js";
export type { Audit, AuditFilter } from "./audit.js";
export type {
  BuildFilter,
  Builds,
  CancelRequest,
  LogRequest,
  Submitted,
  SubmitRequest,
} from "./builds.js";
export { isFinalBuild, type BuildEvent, type BuildWatchRequest } from "./build-watch.js";
export type {
  Aborted,
  AbortRequest,
  ChangeRequest,
  DeployRequest,
  Deployments,
  PromoteRequest,
  RollBackTo,
  SteerRequest,
} from "./deployment-requests.js";
export { isFinalDeployment, type DeploymentProgress } from "./deployment-watch.js";
export type { DecommissionRequest, Fleet, HostFilter, HostPage, RegionList } from "./fleet.js";
export type { EndFreeze, FreezeRequest, Freezes } from "./freezes.js";
export type { HostLogPart, HostLogRequest } from "./host-log.js";
export type { MemberFilter, MemberRequest, Members, RevokeRequest } from "./members.js";
export type { BuildProvenance, VerifiedBuild, VerifyRequest } from "./provenance.js";
export type { Replications } from "./replication.js";
export type { NewToken, TokenFilter, TokenRequest, Tokens } from "./tokens.js";
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
  OnFailure,
  PauseReason,
  Promotion,
  ReplicationState,
  ProvenanceRefusedError,
  Role,
  StepPhase,
  TokenRole,
  durationFromMs,
  durationToMs,
} from "@slipway/proto";
export type {
  Application,
  ApplicationSpec,
  ApplyWarning,
  Artifact,
  AuditEntry,
  Build,
  BuildFailure,
  BuildQueueing,
  BuildSpec,
  CommandCheck,
  Deployment,
  DeploymentFailure,
  DeploymentPause,
  DeploymentStep,
  DeploymentTotals,
  EnrolledHost,
  FailureBudget,
  FieldViolation,
  Freeze,
  GenerationAhead,
  HealthCheck,
  HookCommand,
  Host,
  HostApplicationStatus,
  HostFailure,
  HostFailureSample,
  HostStatus,
  LogLine,
  Member,
  NotificationHook,
  PhaseCount,
  PlanDeploymentResponse,
  ProvenanceFault,
  ProvenanceSummary,
  Region,
  RegionAgentStatus,
  RegionApplicationStatus,
  RegionPlan,
  RegionProgress,
  Replication,
  RunningCount,
  RunSpec,
  SecretReference,
  SignedProvenance,
  SourceSpec,
  StepReach,
  Strategy,
  Token,
  VerifiedProvenance,
  Wave,
} from "@slipway/proto";
