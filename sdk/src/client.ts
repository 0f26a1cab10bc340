import { createApplications, type Applications } from "./applications.js";
import { createAudit, type Audit } from "./audit.js";
import { createBuilds, type Builds } from "./builds.js";
import { createCaller } from "./caller.js";
import type { Deployments } from "./deployment-requests.js";
import { createDeployments } from "./deployments.js";
import { createFleet, type Fleet } from "./fleet.js";
import { createFreezes, type Freezes } from "./freezes.js";
import { createMembers, type Members } from "./members.js";
import { resolveOptions, type ClientOptions } from "./options.js";
import { createTokens, type Tokens } from "./tokens.js";
import { createReplications, type Replications } from "./replication.js";

/** Everything that a coordinator does for tools and services. */
export interface Client {
  readonly applications: Applications;
  readonly builds: Builds;
  readonly deployments: Deployments;
  readonly fleet: Fleet;
  readonly members: Members;
  readonly tokens: Tokens;
  readonly freezes: Freezes;
  readonly audit: Audit;
  readonly replication: Replications;
  /**
   * Ends every call and watch with a SlipwayError (CANCELLED, CLIENT_CLOSED), and the connections.
   * May be called twice. An open client keeps no process alive unless a call is under way.
   */
  close(): void;
}

/**
 * A client of a fleet's coordinators. Connects at the first call, and again by itself.
 * @throws TypeError for options that cannot be meant.
 */
export function createClient(options?: ClientOptions): Client {
  const caller = createCaller(resolveOptions(options));
  return {
    applications: createApplications(caller),
    builds: createBuilds(caller),
    deployments: createDeployments(caller),
    fleet: createFleet(caller),
    members: createMembers(caller),
    tokens: createTokens(caller),
    freezes: createFreezes(caller),
    audit: createAudit(caller),
    replication: createReplications(caller),
    close: () => caller.close(),
  };
}
