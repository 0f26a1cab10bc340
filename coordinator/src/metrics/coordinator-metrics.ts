import {
  registerCounts,
  registerCountsBy,
  registerGauge,
  registerGauges,
  registerGaugesBy,
  registerInfo,
} from "@slipway/proto/metrics";
import { type Registry, collectDefaultMetrics } from "prom-client";
import type { EndingToken } from "../auth/admission.js";
import type { Stats } from "../stats.js";
import { COORDINATOR_VERSION } from "../version.js";

/** What is so at the moment of a scrape, and what was counted until then. */
export interface Readings {
  stats: Stats;
  /** Builders that have a stream here. */
  builders: () => number;
  /** Agents that several processes say they are, by role. */
  twins: () => Readonly<Record<"builder" | "region" | "host", number>>;
  /** Deployments that are not final, by state; undefined while that is not known. */
  deployments: () => Readonly<Record<string, number>> | undefined;
  connected: () => { postgres: boolean; nats: boolean };
  /** When what lets in on NATS ends: seconds since 1970. */
  natsEndings: () => Readonly<Record<string, number>>;
  /** Undefined without one. Days until the first of its keys ends; undefined if none does. */
  keySet: () => { version: number; daysLeft: number | undefined } | undefined;
  /** Those in use here that end soon, the first in front. */
  endingTokens: () => readonly EndingToken[];
}

/** Tokens that are told of at once. */
const MAX_TOKENS = 100;

/** Registers what a coordinator tells Prometheus. */
export function registerCoordinator(registry: Registry, readings: Readings): void {
  collectDefaultMetrics({ register: registry });
  registerInfo(registry, {
    name: "slipway_coordinator_info",
    help: "Always 1; the label says which version this is.",
    labels: { version: COORDINATOR_VERSION },
  });
  registerGauges(registry, {
    name: "slipway_coordinator_connected",
    help: "1 while the coordinator hears changes from Postgres, and is connected to NATS.",
    label: "server",
    read: () => {
      const { postgres, nats } = readings.connected();
      return { postgres: postgres ? 1 : 0, nats: nats ? 1 : 0 };
    },
  });
  registerGauges(registry, {
    name: "slipway_agent_twins",
    help: "Agents of each role that several processes say they are, as if a machine were copied.",
    label: "role",
    read: readings.twins,
  });
  registerBuilds(registry, readings);
  registerDeployments(registry, readings);
  registerCalls(registry, readings.stats);
  registerKeys(registry, readings);
}

function registerKeys(
  registry: Registry,
  { stats, keySet, endingTokens, natsEndings }: Readings,
): void {
  registerGauges(registry, {
    name: "slipway_nats_expiry_timestamp_seconds",
    help: "When the NATS users in files, and the NATS server's certificate, end; not told without.",
    label: "what",
    read: natsEndings,
  });
  registerGaugesBy(registry, {
    name: "slipway_token_expiry_timestamp_seconds",
    help: "When tokens end that are in use here, but for those to enrol; of the last 30 days before.",
    labels: ["token", "name", "role"],
    read: () =>
      endingTokens()
        .slice(0, MAX_TOKENS)
        .map(({ id, name, role, expireTime }) => [[id, name, role], Number(expireTime) / 1_000]),
  });
  registerGauge(registry, {
    name: "slipway_server_certificate_expiry_timestamp_seconds",
    help: "When the certificate ends that callers are shown; not told without TLS.",
    read: () => {
      const expireTime = stats.certificateExpireTime?.();
      return expireTime && expireTime.getTime() / 1_000;
    },
  });
  registerGauge(registry, {
    name: "slipway_key_set_version",
    help: "Of the fleet's key set, as this coordinator knows it.",
    read: () => keySet()?.version,
  });
  registerGauge(registry, {
    name: "slipway_key_set_days_left",
    help: "Until the first of its keys ends; negative once it has; not told if none has an end.",
    read: () => keySet()?.daysLeft,
  });
  registerCountsBy(registry, {
    name: "slipway_signatures_total",
    help: "Signatures that were asked for, by key and what became of it.",
    labels: ["key", "result"],
    read: () =>
      Object.entries(stats.signatures).flatMap(([key, { counts }]) =>
        Object.entries(counts).map(([result, count]) => [[key, result], count] as const),
      ),
  });
}

function registerBuilds(registry: Registry, { stats, builders }: Readings): void {
  registerGauge(registry, {
    name: "slipway_queue_builds",
    help: "Builds that wait in the queue, as of a few seconds ago; the same on all coordinators.",
    read: () => stats.backlog?.count,
  });
  registerGauge(registry, {
    name: "slipway_queue_oldest_age_seconds",
    help: "Since the oldest build that waits was submitted; 0 if none waits.",
    read: () => {
      const oldestAgeMs = stats.backlog?.oldestAgeMs;
      return oldestAgeMs === undefined ? undefined : oldestAgeMs / 1_000;
    },
  });
  registerGauge(registry, {
    name: "slipway_coordinator_builders",
    help: "Builders that are connected to this coordinator.",
    read: builders,
  });
  registerCounts(registry, {
    name: "slipway_builds_total",
    help: "What this coordinator wrote of builds, by what happened.",
    label: "event",
    read: () => stats.builds.counts,
  });
}

function registerDeployments(registry: Registry, { stats, deployments }: Readings): void {
  registerGauge(registry, {
    name: "slipway_rollout_leader",
    help: "1 while this coordinator leads; of all coordinators together it should be 1.",
    read: () => (stats.leads ? 1 : 0),
  });
  registerGauges(registry, {
    name: "slipway_deployments",
    help: "Deployments that are not final, by state; the same on all coordinators.",
    label: "state",
    read: deployments,
  });
  const counts = [
    ["slipway_rollout_events_total", "Steps and decisions that were written.", "event", "rollout"],
    ["slipway_notifications_total", "Attempts to tell a hook.", "result", "notifications"],
    ["slipway_goal_writes_total", "Writes to the goals bucket.", "result", "goalWrites"],
    ["slipway_goal_nonsense_total", "Replaced: no coordinator signed it.", "what", "nonsense"],
    ["slipway_enrolments_total", "Hosts not enrolled, by why.", "result", "enrolments"],
  ] as const;
  for (const [name, help, label, kind] of counts) {
    registerCounts(registry, { name, help, label, read: () => stats[kind].counts });
  }
}

function registerCalls(
  registry: Registry,
  { calls, streams, authFailures, connections }: Stats,
): void {
  registerCounts(registry, {
    name: "slipway_auth_failures_total",
    help: "Calls that were not let in, by why.",
    label: "reason",
    read: () => authFailures.counts,
  });
  registerCounts(registry, {
    name: "slipway_rpc_connections_refused_total",
    help: "Connections that were closed: too many, or nobody was let in over it.",
    label: "reason",
    read: () => connections.counts,
  });
  registerCountsBy(registry, {
    name: "slipway_rpcs_total",
    help: "Calls that ended, by method and gRPC status; streams count when they end.",
    labels: ["method", "code"],
    read: () =>
      [...calls].flatMap(([method, codes]) =>
        [...codes].map(([code, count]) => [[method, code], count] as const),
      ),
  });
  registerGauges(registry, {
    name: "slipway_rpc_streams",
    help: "Open streams by method: watches, and builders' work.",
    label: "method",
    read: () => Object.fromEntries(streams),
  });
}
