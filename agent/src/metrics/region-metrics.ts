import { registerCounts, registerGauge, registerGauges } from "@slipway/proto/metrics";
import type { Registry } from "prom-client";

/** What hosts call their cells must not fill the scraper's memory. */
const CELLS_MAX = 256;

/** The hosts that a region agent knows. */
export function registerHosts(
  registry: Registry,
  read: () => {
    hosts: number;
    silent: number;
    cells: ReadonlyMap<string, number>;
    /** Messages of hosts, all and those that were not taken. */
    messages: number;
    dropped: number;
    decommissioned: number;
    /** Hosts that several processes say they are. */
    twins: number;
  },
): void {
  registerGauges(registry, {
    name: "slipway_region_hosts",
    help: "Enrolled hosts of the region, by whether they are heard.",
    label: "state",
    read: () => {
      const { hosts, silent } = read();
      return { heard: hosts - silent, silent };
    },
  });
  registerGauge(registry, {
    name: "slipway_region_twin_hosts",
    help: "Hosts that several processes say they are, as if a data directory were copied.",
    read: () => read().twins,
  });
  registerGauges(registry, {
    name: "slipway_region_cell_hosts",
    help: "Known hosts of each cell.",
    label: "cell",
    read: () => Object.fromEntries([...read().cells].slice(0, CELLS_MAX)),
  });
  registerCounts(registry, {
    name: "slipway_region_host_messages_total",
    help: "Messages of hosts: of decommissioned ones, otherwise dropped, and taken.",
    label: "result",
    read: () => {
      const { messages, dropped, decommissioned } = read();
      return { decommissioned, dropped: dropped - decommissioned, taken: messages - dropped };
    },
  });
}

/** Whether a region agent leads its region. */
export function registerLeader(
  registry: Registry,
  read: () => { leads: boolean; gained: number; lost: number },
): void {
  registerGauge(registry, {
    name: "slipway_region_leader",
    help: "1 while this agent leads its region; of all agents of a region together it should be 1.",
    read: () => (read().leads ? 1 : 0),
  });
  registerCounts(registry, {
    name: "slipway_region_leader_changes_total",
    help: "How often this agent began to lead, and ceased to.",
    label: "result",
    read: () => {
      const { gained, lost } = read();
      return { gained, lost };
    },
  });
}

/** What a region agent does with goals. */
export function registerGoals(
  registry: Registry,
  read: () => Record<"copied" | "conflicts" | "malformed" | "refused" | "removed", number>,
): void {
  registerCounts(registry, {
    name: "slipway_region_goals_total",
    help: "Goals copied, written elsewhere at the same time, malformed, not signed by the fleet, and removed, being of no application.",
    label: "result",
    read: () => {
      const { copied, conflicts, malformed, refused, removed } = read();
      return { copied, conflicts, malformed, refused, removed };
    },
  });
}
