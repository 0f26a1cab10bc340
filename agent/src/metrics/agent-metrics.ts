import {
  registerCounts,
  registerGauge,
  registerGauges,
  registerInfo,
} from "@slipway/proto/metrics";
import { type Registry, collectDefaultMetrics } from "prom-client";
import { certificateExpiry } from "../swarm/identity.js";
import { AGENT_VERSION } from "../version.js";

/** Which agent this is, and what its process takes. */
export function registerAgent(
  registry: Registry,
  labels: { role: string; id: string; region: string; cell: string },
): void {
  collectDefaultMetrics({ register: registry });
  registerInfo(registry, {
    name: "slipway_agent_info",
    help: "Always 1; the labels say which agent this is.",
    labels: { ...labels, version: AGENT_VERSION },
  });
}

/** Until when the swarm lets this agent in. */
export function registerCertificate(
  registry: Registry,
  member: {
    readonly identity: { certificate: Buffer };
    readonly stats: Readonly<{ renewed: number; failed: number }>;
  },
): void {
  registerGauge(registry, {
    name: "slipway_certificate_expiry_timestamp_seconds",
    help: "When the agent's membership certificate expires: without it the swarm is closed to it.",
    read: () => certificateExpiry(member.identity).getTime() / 1_000,
  });
  registerCounts(registry, {
    name: "slipway_certificate_renewals_total",
    help: "Times that the agent renewed its certificate, and that it tried in vain.",
    label: "result",
    read: () => {
      const { renewed, failed } = member.stats;
      return { renewed, failed };
    },
  });
}

/** Until when NATS lets this agent in, where files say so, and shows a certificate that holds. */
export function registerNatsEndings(
  registry: Registry,
  endings: { readonly timestamps: Readonly<Record<string, number>> },
): void {
  registerGauges(registry, {
    name: "slipway_nats_expiry_timestamp_seconds",
    help: "When the NATS users in files, and the NATS servers' certificates, end; not told without.",
    label: "what",
    read: () => endings.timestamps,
  });
}

/** Whether this agent's identity is its alone. */
export function registerTwins(registry: Registry, count: () => number): void {
  registerGauge(registry, {
    name: "slipway_agent_twins",
    help: "Other processes that have this agent's identity, as if its data directory were copied.",
    read: count,
  });
}

/** Until when coordinators let this agent in, if it has a token. */
export function registerToken(
  registry: Registry,
  token: { readonly expireTime: Date | undefined } | undefined,
): void {
  if (token === undefined) return;
  registerGauge(registry, {
    name: "slipway_token_expiry_timestamp_seconds",
    help: "When the token ends that the agent calls coordinators with; not told before they said it.",
    read: () => token.expireTime && token.expireTime.getTime() / 1_000,
  });
}

/** What a host's artifact store takes on disk. */
export function registerStore(
  registry: Registry,
  list: () => Promise<{ diskBytes: number }[]>,
): void {
  registerGauge(registry, {
    name: "slipway_store_bytes",
    help: "Bytes that the artifact store takes on disk.",
    read: async () => (await list()).reduce((sum, { diskBytes }) => sum + diskBytes, 0),
  });
}

/** What a builder does. */
export function registerBuilder(
  registry: Registry,
  slots: number,
  stats: () => { running: number; succeeded: number; failed: number; lost: number },
): void {
  registerGauge(registry, {
    name: "slipway_builder_slots",
    help: "Builds that may run at once.",
    read: () => slots,
  });
  registerGauge(registry, {
    name: "slipway_builder_running",
    help: "Builds that run now.",
    read: () => stats().running,
  });
  registerCounts(registry, {
    name: "slipway_builder_builds_total",
    help: "Builds that ended, by how; lost ones are another builder's now.",
    label: "result",
    read: () => {
      const { succeeded, failed, lost } = stats();
      return { succeeded, failed, lost };
    },
  });
}
