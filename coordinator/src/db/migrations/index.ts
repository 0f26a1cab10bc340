import type { Migration } from "../migrate.js";
import { applicationsAndBuilds } from "./0001-applications-and-builds.js";
import { deploymentsAndHosts } from "./0002-deployments-and-hosts.js";
import { stagedDeployments } from "./0003-staged-deployments.js";
import { operations } from "./0004-operations.js";
import { droppedRegions } from "./0005-dropped-regions.js";
import { tokens } from "./0007-tokens.js";
import { members } from "./0008-members.js";
import { cheaperBuilds } from "./0009-cheaper-builds.js";
import { provenance } from "./0010-provenance.js";
import { heldDeployments } from "./0012-held-deployments.js";
import { connectedBuilders } from "./0013-connected-builders.js";
import { missedSuccesses } from "./0014-missed-successes.js";

/** The main database's schema, in order. */
export const migrations: readonly Migration[] = [
  applicationsAndBuilds,
  deploymentsAndHosts,
  stagedDeployments,
  operations,
  droppedRegions,
  tokens,
  members,
  cheaperBuilds,
  provenance,
  heldDeployments,
  connectedBuilders,
  missedSuccesses,
];
