import { Counter, Gauge, type Registry } from "prom-client";
import type { SwarmStats } from "../swarm/index.js";

type Reading = readonly [name: string, help: string, read: (stats: SwarmStats) => number];

const COUNTERS: readonly Reading[] = [
  ["sent_bytes_total", "Bytes of chunks given to other peers.", (s) => s.bytesSent],
  ["duplicate_bytes_total", "Bytes that came once more than needed.", (s) => s.duplicateBytes],
  ["hedged_requests_total", "Chunks asked of a second peer in time.", (s) => s.hedges],
  ["timed_out_requests_total", "Requests given up for lateness.", (s) => s.timeouts],
  ["verify_failures_total", "Chunks with another hash than theirs.", (s) => s.verifyFailures],
  ["bans_total", "Peers banned for a minute: wrong bytes, or too many messages.", (s) => s.bans],
  [
    "membership_refusals_total",
    "Connections ended for want of a valid membership certificate.",
    (s) => s.membershipRefusals,
  ],
  [
    "revoked_refusals_total",
    "Connections refused, or ended, as the other end is revoked.",
    (s) => s.revokedRefusals,
  ],
  [
    "protocol_errors_total",
    "Connections ended for breaking the protocol.",
    (s) => s.protocolErrors,
  ],
  ["fallback_chunks_total", "Chunks that came over the control stream.", (s) => s.fallbackChunks],
];

const GAUGES: readonly Reading[] = [
  ["receive_bytes_per_second", "Verified bytes, over the last seconds.", (s) => s.receiveRate],
  ["send_bytes_per_second", "Bytes given, over the last seconds.", (s) => s.sendRate],
  ["strangers", "Connections that have yet to show that they are let in.", (s) => s.strangers],
];

/** What the swarm counts; nothing before there is one. */
export function registerSwarm(registry: Registry, stats: () => SwarmStats | undefined): void {
  for (const [name, help, read] of COUNTERS) {
    registry.registerMetric(
      new Counter({
        name: `slipway_swarm_${name}`,
        help,
        registers: [],
        collect() {
          this.reset();
          const now = stats();
          if (now !== undefined) this.inc(read(now));
        },
      }),
    );
  }
  for (const [name, help, read] of GAUGES) {
    registry.registerMetric(
      new Gauge({
        name: `slipway_swarm_${name}`,
        help,
        registers: [],
        collect() {
          const now = stats();
          if (now !== undefined) this.set(read(now));
        },
      }),
    );
  }
  registry.registerMetric(
    new Counter({
      name: "slipway_swarm_received_bytes_total",
      help: "Bytes of verified chunks, by where they came from.",
      labelNames: ["source"],
      registers: [],
      collect() {
        this.reset();
        const now = stats();
        if (now === undefined) return;
        this.inc({ source: "peers" }, now.bytesFromPeers);
        this.inc({ source: "seeders" }, now.bytesFromSeeders);
        this.inc({ source: "local" }, now.bytesFromLocal);
        this.inc({ source: "reuse" }, now.bytesFromReuse);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      name: "slipway_swarm_refused_total",
      help: "What was refused of those without a certificate that holds, by why.",
      labelNames: ["reason"],
      registers: [],
      collect() {
        this.reset();
        const now = stats();
        if (now === undefined) return;
        for (const [reason, count] of Object.entries(now.refused)) this.inc({ reason }, count);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: "slipway_swarm_neighbours",
      help: "Connected peers: hosts of the home cell, of other cells, and region agents.",
      labelNames: ["kind"],
      registers: [],
      collect() {
        const now = stats();
        if (now === undefined) return;
        const { neighbours, homeNeighbours, seederNeighbours } = now;
        this.set({ kind: "home" }, homeNeighbours);
        this.set({ kind: "other_cell" }, neighbours - homeNeighbours - seederNeighbours);
        this.set({ kind: "seeder" }, seederNeighbours);
      },
    }),
  );
}
