import { createPublicKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  ApplicationGoal,
  COORDINATOR_INBOX,
  Goal,
  GLOBAL_GOALS_BUCKET,
  GOAL_SIGNATURE_CONTEXT,
  isSignatureOf,
  regionAgentInbox,
  regionGoalsBucket,
  SignedGoal,
  signedMessage,
} from "@slipway/proto";
import { connect } from "@slipway/proto/nats";
import { credsAuthenticator, type KV } from "nats";
import type { LocalFleet } from "../local-fleet/index.js";
import { keyFile, natsFile } from "../local-fleet/files.js";
import type { GoalFact } from "./facts.js";

const TIMEOUT_MS = 10_000;

/** Reads every goal of these applications from the global bucket and from the regions' own. */
export async function readGoals(
  fleet: LocalFleet,
  applications: readonly string[],
): Promise<GoalFact[]> {
  const key = createPublicKey(await readFile(keyFile(fleet.dir, "goal.key.pub")));
  const found: GoalFact[] = [];
  const global = { credentials: "coordinator.creds", inboxPrefix: COORDINATOR_INBOX };
  await withBucket(
    fleet,
    { ...global, url: fleet.nats.url, name: GLOBAL_GOALS_BUCKET },
    async (bucket) => {
      for (const application of applications) {
        const entry = await bucket.get(application);
        if (entry?.operation !== "PUT") continue;
        const { regions } = ApplicationGoal.decode(entry.value);
        for (const signed of Object.values(regions)) found.push(factOf("global", signed, key));
      }
    },
  );
  for (const region of fleet.regions) {
    const { url } = fleet.regionNats.get(region) ?? fleet.nats;
    const regional = {
      credentials: `region-${region}.creds`,
      inboxPrefix: regionAgentInbox(region, "agents"),
    };
    const name = regionGoalsBucket(region);
    await withBucket(fleet, { ...regional, url, name }, async (bucket) => {
      for (const application of applications) {
        const entry = await bucket.get(application);
        if (entry?.operation !== "PUT") continue;
        const fact = factOf("regional", SignedGoal.decode(entry.value), key);
        // Somebody else's goal, however well signed, is none of this key's.
        const fits = fact.application === application && fact.region === region;
        found.push({ ...fact, application, region, isSigned: fact.isSigned && fits });
      }
    });
  }
  return found;
}

function factOf(
  bucket: GoalFact["bucket"],
  { payload, signature }: SignedGoal,
  key: KeyObject,
): GoalFact {
  const goal = Goal.decode(payload);
  const message = signedMessage(GOAL_SIGNATURE_CONTEXT, payload);
  return {
    bucket,
    region: goal.region,
    application: goal.application,
    generation: goal.generation,
    deploymentId: goal.deploymentId,
    limit: goal.bucketLimit,
    runDigest: goal.run?.artifactDigest,
    previousDigest: goal.previous?.artifactDigest,
    selector: goal.selector,
    isRemoval: goal.removed,
    isSigned: isSignatureOf(key, message, signature),
  };
}

interface Way {
  url: string;
  /** A file of those for who does not join. */
  credentials: string;
  inboxPrefix: string;
  /** Of the bucket. */
  name: string;
}

async function withBucket(
  { dir, caFile }: LocalFleet,
  { url, credentials, inboxPrefix, name }: Way,
  use: (bucket: KV) => Promise<void>,
): Promise<void> {
  const nats = await connect({
    servers: url,
    tls: { caFile },
    authenticator: credsAuthenticator(await readFile(natsFile(dir, credentials))),
    inboxPrefix,
    timeout: TIMEOUT_MS,
    reconnect: false,
  });
  try {
    await use(await nats.jetstream({ timeout: TIMEOUT_MS }).views.kv(name, { bindOnly: true }));
  } finally {
    await nats.close();
  }
}
