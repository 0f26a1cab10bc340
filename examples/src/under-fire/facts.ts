/** What is known of a run once it is quiet: all that invariants are judged by. */
export interface Facts {
  /** Ids of what the traffic was told it has made. */
  submittedBuilds: readonly string[];
  createdDeployments: readonly string[];
  builds: readonly BuildFact[];
  /** Every state that Postgres took for a build, in order. */
  buildChanges: readonly BuildChange[];
  deployments: readonly DeploymentFact[];
  /** Every state that Postgres took for a deployment, in order. */
  deploymentChanges: readonly DeploymentChange[];
  /** Entries of the audit log that are about deployments. */
  audit: readonly AuditFact[];
  watches: readonly WatchFact[];
  goals: readonly GoalFact[];
  hosts: readonly HostFact[];
  /** Places in the order of goals that hosts went back from, in words. */
  falls: readonly string[];
  /** How often hosts were asked for their place. */
  looks: number;
  /** Answers that no caller should get, processes that ended by themselves, in words. */
  surprises: readonly string[];
}

export interface BuildFact {
  id: string;
  status: string;
  attempt: number;
  artifactDigest: string | undefined;
}

export type BuildChange = BuildFact;

export interface DeploymentFact {
  id: string;
  application: string;
  generation: number;
  state: string;
  runDigest: string;
  previousDigest: string | undefined;
  /** By region: of 10,000 buckets of hosts, how many were told to switch. */
  limits: Readonly<Record<string, number>>;
}

export interface DeploymentChange {
  id: string;
  state: string;
  limits: Readonly<Record<string, number>>;
}

export interface AuditFact {
  deploymentId: string;
  action: string;
}

/** What one watcher was told, through the SDK, while all of it went on. */
export interface WatchFact {
  what: "build" | "deployment";
  id: string;
  finals: readonly string[];
  /** Why it ended without one. */
  error: string | undefined;
}

/** A region's goal of an application in a bucket. */
export interface GoalFact {
  bucket: "global" | "regional";
  region: string;
  application: string;
  generation: number;
  deploymentId: string;
  limit: number;
  runDigest: string | undefined;
  previousDigest: string | undefined;
  /** The fleet's goal key signed exactly this. */
  isSigned: boolean;
}

/** One application on one host, from the host's own files and processes. */
export interface HostFact {
  host: string;
  region: string;
  application: string;
  /** Whose bytes the release folder holds that `current` leads to; undefined if there is none. */
  digest: string | undefined;
  /** What is wrong with those bytes: not those of any artifact. */
  damage: string | undefined;
  /** Processes that run in that folder. */
  processes: number;
  /** Processes that run in another folder of the application's. */
  strays: number;
}
