import type { Context } from "../context.js";

/** The part of the context that deployments need to exist. */
export type RolloutBase = Pick<
  Context,
  | "config"
  | "log"
  | "clock"
  | "steady"
  | "db"
  | "replicationDb"
  | "nats"
  | "events"
  | "stats"
  | "connectedBuilders"
>;

/** What deployments add to the context. */
export type RolloutParts = Pick<
  Context,
  "replicationStatus" | "goals" | "status" | "deploymentFeeds"
>;

/** What deployments work with. */
export type RolloutContext = RolloutBase & RolloutParts;
