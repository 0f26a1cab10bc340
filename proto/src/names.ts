/** Names and bounds that both ends of a wire must agree on. */

/** What application, region, cell, host and builder names look like. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** Most labels of a host. */
export const HOST_MAX_LABELS = 64;
/** What the name of a host's label looks like. */
export const HOST_LABEL_PATTERN = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
/** Longest value of a host's label, in characters; none of them may be a control character. */
export const HOST_LABEL_VALUE_MAX = 255;

/** How an artifact is named. */
export const ARTIFACT_DIGEST_PATTERN = /^sha256:[0-9a-f]{64}$/;

/** Hosts fall into so many buckets; a goal's bucket_limit is 0, for none, up to this, for all. */
export const HOST_BUCKETS = 10_000;

/** KV bucket of the global NATS: application name → ApplicationGoal. */
export const GLOBAL_GOALS_BUCKET = "slipway_goals";
/**
 * Key of a SignedRevocationList in the global and the regional goals buckets; no application can have
 * a name that begins so.
 */
export const REVOCATIONS_KEY = "_revocations";
/** Key of a SignedKeySet in the same buckets. */
export const KEY_SET_KEY = "_keys";
/** KV bucket of the global NATS for RegionAgentStatus and RegionApplicationStatus. */
export const STATUS_BUCKET = "slipway_status";
/** Key of a GoalDigest in a regional bucket; no application can have this name. */
export const GOAL_DIGEST_KEY = "_digest";

/** KV bucket of a regional NATS: application name → SignedGoal, and the digest key. */
export const regionGoalsBucket = (region: string): string => `slipway_goals_${region}`;
/** Core subject to which a regional bucket republishes a key; "*" for all of them. */
export const goalSubject = (region: string, key: string): string =>
  `slipway.goals.${region}.${key}`;
/** Core subject of the regional NATS where a host publishes HostStatus; "*" for all hosts. */
export const hostStatusSubject = (region: string, hostId: string): string =>
  `slipway.status.${region}.${hostId}`;
/** Subject of the global NATS where region agents answer HostQuery with HostQueryReply. */
export const hostQuerySubject = (region: string): string => `slipway.query.${region}`;
/** Subject of the global NATS where region agents answer ArtifactQuery with ArtifactQueryReply. */
export const artifactQuerySubject = (region: string): string => `slipway.artifacts.${region}`;
/** Subject of the global NATS where region agents pass ReadHostLogRequest on to the host. */
export const hostLogSubject = (region: string): string => `slipway.logs.${region}`;
/** Subject of the regional NATS where a host answers ReadHostLogRequest with ReadHostLogResponse. */
export const hostLogRequestSubject = (region: string, hostId: string): string =>
  `slipway.hostlogs.${region}.${hostId}`;
/** Header of what a region agent says to a host unasked, on the subject of its log requests. */
export const NOTICE_HEADER = "slipway-notice";
/** Under that header: the content is a TwinsNotice. */
export const TWINS_NOTICE = "twins";
/** Header of a NATS reply that is no answer: says what is wrong. */
export const ERROR_HEADER = "slipway-error";
/** KV bucket of a regional NATS for the lease by which one of the region's agents leads. */
export const regionLeaseBucket = (region: string): string => `slipway_lease_${region}`;
/** Key of a RegionLease in a lease bucket. */
export const REGION_LEASE_KEY = "leader";
/** Key of a RegionAgentStatus in the status bucket. */
export const regionAgentKey = (region: string, agentId: string): string => `${region}.${agentId}`;
/** Key of a RegionApplicationStatus in the status bucket. */
export const regionApplicationKey = (
  region: string,
  agentId: string,
  application: string,
): string => `${region}.${agentId}.${application}`;

/**
 * Before the inboxes of each that asks something over NATS, so that nobody else may listen there: who
 * has credentials may subscribe below its own prefix only.
 */
export const COORDINATOR_INBOX = "_INBOX_coordinator";
/** The same of a region agent; `name` is its NATS user's. */
export const regionAgentInbox = (region: string, name: string): string =>
  `_INBOX_region.${region}.${name}`;
/** The same of a host. */
export const hostInbox = (hostId: string): string => `_INBOX_host.${hostId}`;

/** JetStream stream of the global NATS that keeps build logs. */
export const BUILD_LOGS_STREAM = "slipway_build_logs";
/** Subject of one build's log, all attempts. */
export const buildLogSubject = (buildId: string): string => `slipway.build.logs.${buildId}`;

/** Said before a Goal's payload when it is signed, so that no other signature can pass for it. */
export const GOAL_SIGNATURE_CONTEXT = "slipway goal v1\n";
/** Said before a RevocationList's payload when it is signed. */
export const REVOCATIONS_SIGNATURE_CONTEXT = "slipway revocations v1\n";
/** Said before a KeySet's payload when it is signed. */
export const KEY_SET_SIGNATURE_CONTEXT = "slipway key set v1\n";
/** Said before a Membership's payload when it is signed. */
export const MEMBERSHIP_SIGNATURE_CONTEXT = "slipway membership v1\n";
/** Said before a JoinClaim when an agent signs it. */
export const JOIN_SIGNATURE_CONTEXT = "slipway join v1\n";
/** Said before a RenewClaim when a member signs it. */
export const RENEW_SIGNATURE_CONTEXT = "slipway renew v1\n";

/** Type of what a builder signs, for DSSE. */
export const PROVENANCE_PAYLOAD_TYPE = "application/vnd.in-toto+json";
/** Largest SignedProvenance, in bytes. */
export const PROVENANCE_MAX_BYTES = 64 * 1024;

/** Largest SignedKeySet, in bytes. */
export const KEY_SET_MAX_BYTES = 64 * 1024;
/** Most goal keys of a key set, and most membership keys. */
export const KEY_SET_MAX_KEYS = 32;
/** Most revoked keys of a key set. */
export const KEY_SET_MAX_REVOKED = 1_000;
/** Most signatures of a key set. */
export const KEY_SET_MAX_SIGNATURES = 8;

/** Largest gRPC message either side accepts, in bytes. */
export const GRPC_MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Most messages of a builder's stream that go in one. */
export const WORK_MESSAGES_MAX = 32;
/** Largest frame on a swarm's control stream, in bytes, without its length. */
export const CONTROL_FRAME_MAX_BYTES = 512 * 1024;
/** Largest manifest, in bytes: about 1.8 million chunks. */
export const MANIFEST_MAX_BYTES = 64 * 1024 * 1024;
/** Largest chunk, in bytes. */
export const CHUNK_MAX_BYTES = 16 * 1024 * 1024;
/** Asked for instead of a chunk's number: the sender chooses. */
export const ANY_CHUNK = 0xffff_ffff;
/** Longest log line, in bytes; longer ones are split. */
export const LOG_LINE_MAX_BYTES = 16 * 1024;
/** Version of the swarm's protocol that Hello names. */
export const SWARM_PROTOCOL_VERSION = 2;
