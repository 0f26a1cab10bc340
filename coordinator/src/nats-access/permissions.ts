import {
  artifactQuerySubject,
  BUILD_LOGS_STREAM,
  buildLogSubject,
  COORDINATOR_INBOX,
  GLOBAL_GOALS_BUCKET,
  goalSubject,
  hostInbox,
  hostLogRequestSubject,
  hostLogSubject,
  hostQuerySubject,
  hostStatusSubject,
  regionAgentInbox,
  regionGoalsBucket,
  regionLeaseBucket,
  STATUS_BUCKET,
} from "@slipway/proto";

/** What NATS users of one role may do. In a signing key's scope the server fills in the templates. */
export interface RolePermissions {
  publish: string[];
  subscribe: string[];
  /** May answer what was asked of it, once a question. */
  answers: boolean;
}

/** For the name of the NATS user. nats-server replaces only what is a whole token of a subject. */
const NAME = "{{name()}}";
/** For the region that the user is tagged with. */
const TAGGED_REGION = "{{tag(region)}}";

/** Below this prefix are the inboxes of the connections that use system.creds. */
export const SYSTEM_INBOX = "_INBOX_system";

const api = (verb: string, stream: string): string => `$JS.API.${verb}.${stream}`;
/** What the client library asks before it opens a bucket. */
const ACCOUNT_INFO = "$JS.API.INFO";

const streamOf = (bucket: string): string => `KV_${bucket}`;

/** Makes a bucket, reads and watches all of it. */
function owns(bucket: string): string[] {
  const stream = streamOf(bucket);
  return [
    api("STREAM.CREATE", stream),
    api("STREAM.INFO", stream),
    api("STREAM.UPDATE", stream),
    api("STREAM.MSG.GET", stream),
    api("DIRECT.GET", stream),
    api("DIRECT.GET", `${stream}.>`),
    ...watches(bucket, ">"),
  ];
}

/** Watches the keys of a bucket that fit. */
function watches(bucket: string, keys: string): string[] {
  const stream = streamOf(bucket);
  return [
    api("CONSUMER.CREATE", `${stream}.*.${keysOf(bucket, keys)}`),
    // How the client library goes on with a watch that was cut off: it does not say what it is for.
    ...(keys === ">" ? [api("CONSUMER.CREATE", stream)] : []),
    api("CONSUMER.DELETE", `${stream}.*`),
    `$JS.FC.${stream}.>`,
  ];
}

const keysOf = (bucket: string, keys: string): string => `$KV.${bucket}.${keys}`;

/** A coordinator, on the global NATS. */
export function coordinatorPermissions(): RolePermissions {
  const logs = ["STREAM.CREATE", "STREAM.INFO", "STREAM.UPDATE", "STREAM.PURGE", "STREAM.MSG.GET"];
  return {
    publish: [
      ACCOUNT_INFO,
      ...owns(GLOBAL_GOALS_BUCKET),
      keysOf(GLOBAL_GOALS_BUCKET, ">"),
      ...owns(STATUS_BUCKET),
      ...logs.map((verb) => api(verb, BUILD_LOGS_STREAM)),
      buildLogSubject("*"),
      hostQuerySubject("*"),
      artifactQuerySubject("*"),
      hostLogSubject("*"),
    ],
    subscribe: [buildLogSubject("*"), `${COORDINATOR_INBOX}.>`],
    answers: false,
  };
}

/**
 * A region agent, on the global NATS: reads goals, and writes its region's keys of the status bucket.
 * It reads no single message of that bucket: the server sends an answer wherever the question says,
 * also where the asker may not publish, so that it could pass its own words off as another region's.
 */
export function regionGlobalPermissions(region = TAGGED_REGION): RolePermissions {
  return {
    publish: [
      ACCOUNT_INFO,
      api("STREAM.INFO", streamOf(GLOBAL_GOALS_BUCKET)),
      ...watches(GLOBAL_GOALS_BUCKET, ">"),
      ...watches(STATUS_BUCKET, `${region}.>`),
      keysOf(STATUS_BUCKET, `${region}.>`),
    ],
    subscribe: [
      hostQuerySubject(region),
      artifactQuerySubject(region),
      hostLogSubject(region),
      `${regionAgentInbox(region, NAME)}.>`,
    ],
    answers: true,
  };
}

/** A region agent, on its region's NATS: all of the region's buckets, and its hosts. */
export function regionPermissions(region: string): RolePermissions {
  const buckets = [regionGoalsBucket(region), regionLeaseBucket(region)];
  return {
    publish: [
      ACCOUNT_INFO,
      ...buckets.flatMap((bucket) => [...owns(bucket), keysOf(bucket, ">")]),
      hostLogRequestSubject(region, "*"),
    ],
    subscribe: [hostStatusSubject(region, "*"), `${regionAgentInbox(region, NAME)}.>`],
    answers: false,
  };
}

/** What hosts read goals with: imported from the account of the region's agents. */
export function goalReadSubject(region: string): string {
  const bucket = regionGoalsBucket(region);
  return api("DIRECT.GET", `${streamOf(bucket)}.${keysOf(bucket, ">")}`);
}

/** A host, on its region's NATS: reads goals, says how it is, and answers for its own logs. */
export function hostPermissions(region: string): RolePermissions {
  return {
    publish: [hostStatusSubject(region, NAME), goalReadSubject(region)],
    subscribe: [
      goalSubject(region, "*"),
      hostLogRequestSubject(region, NAME),
      `${hostInbox(NAME)}.>`,
    ],
    answers: true,
  };
}

/** Who tells servers of changed accounts; nothing else of the system account. */
export function systemPermissions(): RolePermissions {
  return {
    publish: ["$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP"],
    subscribe: [`${SYSTEM_INBOX}.>`],
    answers: false,
  };
}
