import { setTimeout as delay } from "node:timers/promises";
import type { Context } from "../context.js";
import { dueTargets, type Target } from "./replication-store.js";

/** How many artifacts a region is told of ahead of its completing any. */
const WINDOW = 1_000;
const POLL_INTERVAL_MS = 1_000;
/** Progress reports signal changes too: a stream reads at most this often. */
const MIN_INTERVAL_MS = 200;

/**
 * What a region is to copy: everything due, oldest first, then each new one. An artifact comes
 * again only after the region failed at it or lost it. Ends only by the signal.
 */
export async function* watchTargets(
  { replicationDb, events }: Pick<Context, "replicationDb" | "events">,
  region: string,
  signal: AbortSignal,
): AsyncGenerator<Target> {
  const changes = events.watch("artifact");
  let given = new Map<string, number>();
  try {
    while (true) {
      const due = await dueTargets(replicationDb, region, WINDOW);
      const told = new Map<string, number>();
      for (const target of due) {
        const { artifactDigest, offer } = target;
        if ((given.get(artifactDigest) ?? 0) < offer) yield target;
        told.set(artifactDigest, offer);
      }
      // What is no longer due is forgotten: when it is due again it is a new offer.
      given = told;
      await delay(MIN_INTERVAL_MS, undefined, { signal });
      await changes.next({ timeoutMs: POLL_INTERVAL_MS, signal });
    }
  } finally {
    changes.close();
  }
}
