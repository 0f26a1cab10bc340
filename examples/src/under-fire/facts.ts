/** What is known of a run once it is quiet: all that invariants are judged by. */
export interface Facts {
  /** Ids of what the traffic was told it has made. */
  submittedBuilds: readonly string[];
  createdDeployments: readonly string[];
  builds: readonly BuildFact[];
  /** Every state that Postgres took for a build, in order. */
  buildChanges: readonly BuildChange[];
  /** Attempts that builders say they were given, in the order of each one's log. */
  leases: readonly LeaseFact[];
  deployments: readonly DeploymentFact[];
  /** Every state that Postgres took for a deployment, in order. */
  deploymentChanges: readonly DeploymentChange[];
  applications: readonly ApplicationFact[];
  freezes: readonly FreezeFact[];
  /** Hosts that were taken out of the fleet for good. */
  decommissioned: readonly string[];
  /** What Postgres took of other changes, in order. */
  operations: readonly OperationFact[];
  audit: readonly AuditFact[];
  /** What a notification hook was told. */
  deliveries: readonly DeliveryFact[];
  /** By how many hosts the newest deployment of each application is counted. */
  counts: readonly CountFact[];
  /** Hosts that were seen to switch. */
  switches: readonly SwitchFact[];
  watches: readonly WatchFact[];
  goals: readonly GoalFact[];
  hosts: readonly HostFact[];
  /** Places in the order of goals that hosts went back from, in words. */
  falls: readonly string[];
  /** How often hosts were asked for their place. */
  looks: number;
  /** Logs in which to look for the next. */
  refusalLogs: number;
  /** What logs say of members of the fleet who were turned away. */
  refusals: readonly string[];
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

/** A builder was given a build. */
export interface LeaseFact {
  builder: string;
  id: string;
  attempt: number;
}

export interface DeploymentFact {
  id: string;
  application: string;
  generation: number;
  state: string;
  runDigest: string;
  previousDigest: string | undefined;
  /** By region: of 10,000 buckets of hosts, how many were told to switch. */
  limits: Readonly<Record<string, number>>;
  isRollback: boolean;
  overridesFreeze: boolean;
  /** Milliseconds by Postgres' clock, as all times here. */
  createTimeMs: number;
}

export interface DeploymentChange {
  id: string;
  timeMs: number;
  state: string;
  limits: Readonly<Record<string, number>>;
  step: number;
  phase: string;
  /** Of the step. */
  regions: readonly string[];
  promotedStep: number;
  pauseReason: string | undefined;
}

export interface ApplicationFact {
  name: string;
  isRemoved: boolean;
  /** Of the goal that told hosts last to forget it; 0 if none ever did. */
  removalGeneration: number;
  /** Where that goal went. */
  removalRegions: readonly string[];
}

/** One of the two is frozen. */
export interface FreezeFact {
  application: string | undefined;
  region: string | undefined;
  fromMs: number;
  untilMs: number;
}

/** A change that is no deployment's. */
export interface OperationFact {
  /** As the audit log calls it. */
  action: string;
  /** Of an application, region, host or build: its name or id. */
  subject: string;
}

export interface AuditFact extends OperationFact {
  /** Of an entry about a deployment. */
  deploymentId: string | undefined;
}

/** Something that came to a notification hook. */
export interface DeliveryFact {
  id: string;
  deploymentId: string;
  state: string;
  body: string;
  /** Its signature fits. */
  isSigned: boolean;
  /** It was answered with 204. */
  isTaken: boolean;
}

export interface CountFact {
  application: string;
  region: string;
  /** Undefined if no agent has counted. */
  hosts: number | undefined;
}

/** A host began to run what a goal says, and had not before. */
export interface SwitchFact {
  host: string;
  region: string;
  application: string;
  deploymentId: string;
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
  /** Hosts that have all of these labels obey. */
  selector: Readonly<Record<string, string>>;
  /** Hosts are told to forget it. */
  isRemoval: boolean;
  /** The fleet's goal key signed exactly this. */
  isSigned: boolean;
}

/** One application on one host, from the host's own files and processes. */
export interface HostFact {
  host: string;
  region: string;
  labels: Readonly<Record<string, string>>;
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
