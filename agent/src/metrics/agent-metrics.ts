import { Counter, Gauge, type Registry, collectDefaultMetrics } from "prom-client";
import { certificateExpiry } from "../swarm/identity.js";
import { AGENT_VERSION } from "../version.js";

/** Which agent this is, and what its process takes. */
export function registerAgent(
  registry: Registry,
  labels: { role: string; id: string; region: string; cell: string },
): void {
  collectDefaultMetrics({ register: registry });
  const info = new Gauge({
    name: "slipway_agent_info",
    help: "Always 1; the labels say which agent this is.",
    labelNames: ["role", "id", "region", "cell", "version"],
    registers: [],
  });
  registry.registerMetric(info);
  info.set({ ...labels, version: AGENT_VERSION }, 1);
}

/** Until when the swarm lets this agent in. */
export function registerCertificate(
  registry: Registry,
  member: {
    readonly identity: { certificate: Buffer };
    readonly stats: Readonly<{ renewed: number; failed: number }>;
  },
): void {
  registry.registerMetric(
    new Gauge({
      name: "slipway_certificate_expiry_timestamp_seconds",
      help: "When the agent's membership certificate expires: without it the swarm is closed to it.",
      registers: [],
      collect() {
        this.set(certificateExpiry(member.identity).getTime() / 1_000);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      name: "slipway_certificate_renewals_total",
      help: "Times that the agent renewed its certificate, and that it tried in vain.",
      labelNames: ["result"],
      registers: [],
      collect() {
        this.reset();
        this.inc({ result: "renewed" }, member.stats.renewed);
        this.inc({ result: "failed" }, member.stats.failed);
      },
    }),
  );
}

/** Whether this agent's identity is its alone. */
export function registerTwins(registry: Registry, count: () => number): void {
  registry.registerMetric(
    new Gauge({
      name: "slipway_agent_twins",
      help: "Other processes that have this agent's identity, as if its data directory were copied.",
      registers: [],
      collect() {
        this.set(count());
      },
    }),
  );
}

/** What a host's artifact store takes on disk. */
export function registerStore(
  registry: Registry,
  list: () => Promise<{ diskBytes: number }[]>,
): void {
  registry.registerMetric(
    new Gauge({
      name: "slipway_store_bytes",
      help: "Bytes that the artifact store takes on disk.",
      registers: [],
      async collect() {
        const stored = await list();
        this.set(stored.reduce((sum, { diskBytes }) => sum + diskBytes, 0));
      },
    }),
  );
}

/** What a builder does. */
export function registerBuilder(
  registry: Registry,
  slots: number,
  stats: () => { running: number; succeeded: number; failed: number; lost: number },
): void {
  const most = new Gauge({
    name: "slipway_builder_slots",
    help: "Builds that may run at once.",
    registers: [],
  });
  most.set(slots);
  registry.registerMetric(most);
  registry.registerMetric(
    new Gauge({
      name: "slipway_builder_running",
      help: "Builds that run now.",
      registers: [],
      collect() {
        this.set(stats().running);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      name: "slipway_builder_builds_total",
      help: "Builds that ended, by how; lost ones are another builder's now.",
      labelNames: ["result"],
      registers: [],
      collect() {
        this.reset();
        const { succeeded, failed, lost } = stats();
        this.inc({ result: "succeeded" }, succeeded);
        this.inc({ result: "failed" }, failed);
        this.inc({ result: "lost" }, lost);
      },
    }),
  );
}
