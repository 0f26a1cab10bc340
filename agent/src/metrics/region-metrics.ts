import { Gauge, type Registry } from "prom-client";
import { registerCounts } from "./register-counts.js";

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
  registry.registerMetric(
    new Gauge({
      name: "slipway_region_hosts",
      help: "Enrolled hosts of the region, by whether they are heard.",
      labelNames: ["state"],
      registers: [],
      collect() {
        const { hosts, silent } = read();
        this.set({ state: "heard" }, hosts - silent);
        this.set({ state: "silent" }, silent);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: "slipway_region_twin_hosts",
      help: "Hosts that several processes say they are, as if a data directory were copied.",
      registers: [],
      collect() {
        this.set(read().twins);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: "slipway_region_cell_hosts",
      help: "Known hosts of each cell.",
      labelNames: ["cell"],
      registers: [],
      collect() {
        this.reset();
        for (const [cell, hosts] of [...read().cells].slice(0, CELLS_MAX))
          this.set({ cell }, hosts);
      },
    }),
  );
  registerCounts(registry, {
    name: "slipway_region_host_messages_total",
    help: "Messages of hosts: of decommissioned ones, otherwise dropped, and taken.",
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
  registry.registerMetric(
    new Gauge({
      name: "slipway_region_leader",
      help: "1 while this agent leads its region; of all agents of a region together it should be 1.",
      registers: [],
      collect() {
        this.set(read().leads ? 1 : 0);
      },
    }),
  );
  registerCounts(registry, {
    name: "slipway_region_leader_changes_total",
    help: "How often this agent began to lead, and ceased to.",
    read: () => {
      const { gained, lost } = read();
      return { gained, lost };
    },
  });
}

/** What a region agent does with goals. */
export function registerGoals(
  registry: Registry,
  read: () => { copied: number; conflicts: number; malformed: number; refused: number },
): void {
  registerCounts(registry, {
    name: "slipway_region_goals_total",
    help: "Goals copied, written elsewhere at the same time, malformed, and not signed by the fleet.",
    read: () => {
      const { copied, conflicts, malformed, refused } = read();
      return { copied, conflicts, malformed, refused };
    },
  });
}
