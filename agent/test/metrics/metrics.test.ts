import { Registry } from "prom-client";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { registerBuilder } from "../../src/metrics/agent-metrics.js";
import { registerGoals, registerHosts, registerLeader } from "../../src/metrics/region-metrics.js";
import { registerSwarm } from "../../src/metrics/swarm-metrics.js";
import { StatsBook } from "../../src/swarm/stats.js";

test("what is counted has the names and units that the README says", async () => {
  const registry = new Registry();
  const book = new StatsBook();
  registerSwarm(registry, () => book.view);
  const cells = new Map([["c1", 3]]);
  const messages = { messages: 9, dropped: 3, decommissioned: 1 };
  registerHosts(registry, () => ({ hosts: 3, silent: 1, cells, twins: 1, ...messages }));
  registerLeader(registry, () => ({ leads: true, gained: 2, lost: 1 }));
  registerGoals(registry, () => ({
    copied: 5,
    conflicts: 0,
    malformed: 0,
    refused: 7,
    removed: 8,
  }));
  registerBuilder(registry, 2, () => ({ running: 1, succeeded: 4, failed: 5, lost: 6 }));
  book.neighbours(9, 6, 2);
  book.sent(7);
  book.local(8);
  book.received(10, true, false);
  book.received(20, false, true);
  book.banned();
  book.refused("other_region");
  for (let scrape = 0; scrape < 2; scrape++) {
    const lines = (await registry.metrics()).split("\n");
    for (const line of [
      'slipway_swarm_received_bytes_total{source="peers"} 20',
      'slipway_swarm_received_bytes_total{source="seeders"} 10',
      'slipway_swarm_received_bytes_total{source="local"} 8',
      "slipway_swarm_sent_bytes_total 7",
      'slipway_swarm_neighbours{kind="home"} 6',
      'slipway_swarm_neighbours{kind="other_cell"} 1',
      'slipway_swarm_neighbours{kind="seeder"} 2',
      "slipway_swarm_bans_total 1",
      'slipway_swarm_refused_total{reason="other_region"} 1',
      'slipway_swarm_refused_total{reason="crowded"} 0',
      "slipway_swarm_strangers 0",
      'slipway_region_host_messages_total{result="decommissioned"} 1',
      'slipway_region_host_messages_total{result="dropped"} 2',
      'slipway_region_host_messages_total{result="taken"} 6',
      "slipway_region_leader 1",
      'slipway_region_leader_changes_total{result="gained"} 2',
      'slipway_region_goals_total{result="refused"} 7',
      'slipway_region_goals_total{result="removed"} 8',
      "slipway_swarm_fallback_chunks_total 1",
      "slipway_swarm_hedged_requests_total 0",
      "# TYPE slipway_swarm_timed_out_requests_total counter",
      'slipway_region_hosts{state="heard"} 2',
      'slipway_region_cell_hosts{cell="c1"} 3',
      "slipway_builder_slots 2",
      'slipway_builder_builds_total{result="failed"} 5',
    ]) {
      assert.ok(lines.includes(line), line);
    }
  }
  assert.is(await registry.metrics().then((text) => /^# HELP slipway\S+ *$/m.test(text)), false);
});

test.run();
