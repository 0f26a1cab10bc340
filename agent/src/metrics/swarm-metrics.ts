import {
  registerCount,
  registerCounts,
  registerGauge,
  registerGauges,
} from "@slipway/proto/metrics";
import type { Registry } from "prom-client";
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

/** What the swarm counts; zeros, and nothing that has labels, before there is one. */
export function registerSwarm(registry: Registry, stats: () => SwarmStats | undefined): void {
  const orZero = (read: (stats: SwarmStats) => number) => (): number => {
    const now = stats();
    return now === undefined ? 0 : read(now);
  };
  for (const [name, help, read] of COUNTERS) {
    registerCount(registry, { name: `slipway_swarm_${name}`, help, read: orZero(read) });
  }
  for (const [name, help, read] of GAUGES) {
    registerGauge(registry, { name: `slipway_swarm_${name}`, help, read: orZero(read) });
  }
  registerCounts(registry, {
    name: "slipway_swarm_received_bytes_total",
    help: "Bytes of verified chunks, by where they came from.",
    label: "source",
    read: () => {
      const now = stats();
      return (
        now && {
          peers: now.bytesFromPeers,
          seeders: now.bytesFromSeeders,
          local: now.bytesFromLocal,
          reuse: now.bytesFromReuse,
        }
      );
    },
  });
  registerCounts(registry, {
    name: "slipway_swarm_refused_total",
    help: "What was refused of those without a certificate that holds, by why.",
    label: "reason",
    read: () => stats()?.refused,
  });
  registerGauges(registry, {
    name: "slipway_swarm_neighbours",
    help: "Connected peers: hosts of the home cell, of other cells, and region agents.",
    label: "kind",
    read: () => {
      const now = stats();
      if (now === undefined) return undefined;
      const { neighbours, homeNeighbours: home, seederNeighbours: seeder } = now;
      return { home, other_cell: neighbours - home - seeder, seeder };
    },
  });
}
