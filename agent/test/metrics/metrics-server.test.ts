import net from "node:net";
import { pino } from "pino";
import { Gauge } from "prom-client";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { registerBuilder } from "../../src/metrics/agent-metrics.js";
import { MetricsListenError, MetricsServer } from "../../src/metrics/metrics-server.js";
import { registerGoals, registerHosts, registerLeader } from "../../src/metrics/region-metrics.js";
import { registerSwarm } from "../../src/metrics/swarm-metrics.js";
import { StatsBook } from "../../src/swarm/stats.js";

const log = pino({ level: "silent" });
const listen = { host: "127.0.0.1", port: 0 };
const start = (): Promise<MetricsServer> => MetricsServer.start({ listen, log });

test("tells metrics and health, and nothing else", async () => {
  const server = await start();
  const get = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, init);
  try {
    assert.is((await get("/healthz")).status, 503);
    server.ready();
    const health = await get("/healthz?x=1");
    assert.equal([health.status, await health.text()], [200, "ok\n"]);
    assert.is((await get("/")).status, 404);
    const posted = await get("/metrics", { method: "POST", body: "x".repeat(100_000) });
    assert.equal([posted.status, posted.headers.get("allow")], [405, "GET, HEAD"]);
    const metrics = await get("/metrics");
    assert.match(metrics.headers.get("content-type") ?? "", "text/plain; version=0.0.4");
    assert.is((await get("/metrics", { method: "HEAD" })).status, 200);
  } finally {
    await server.stop();
  }
});

test("a port that is taken is an error with a type; stopping frees it, whoever is connected", async () => {
  const server = await start();
  const { port } = server;
  const again = (): Promise<MetricsServer> =>
    MetricsServer.start({ listen: { host: "127.0.0.1", port }, log });
  const error = await again().catch((reason: unknown) => reason);
  assert.instance(error, MetricsListenError);
  assert.match(String(error), `127.0.0.1:${port}`);
  const idle = net.connect(port, "127.0.0.1").on("error", () => {});
  await new Promise((resolve) => idle.once("connect", resolve));
  await Promise.all([server.stop(), server.stop()]);
  await (await again()).stop();
  idle.destroy();
});

test("a metric that can't be told is an error, and the next scrape is tried anew", async () => {
  const server = await start();
  let broken = true;
  const fragile = new Gauge({
    name: "fragile",
    help: "Breaks.",
    registers: [],
    collect() {
      if (broken) throw new Error("broken");
      this.set(1);
    },
  });
  server.registry.registerMetric(fragile);
  try {
    const url = `http://127.0.0.1:${server.port}/metrics`;
    assert.is((await fetch(url)).status, 500);
    broken = false;
    assert.match(await (await fetch(url)).text(), "fragile 1\n");
  } finally {
    await server.stop();
  }
});

test("what is counted has the names and units that the README says", async () => {
  const server = await start();
  const { registry } = server;
  const book = new StatsBook();
  registerSwarm(registry, () => book.view);
  const cells = new Map([["c1", 3]]);
  const messages = { messages: 9, dropped: 3, decommissioned: 1 };
  registerHosts(registry, () => ({ hosts: 3, silent: 1, cells, ...messages }));
  registerLeader(registry, () => ({ leads: true, gained: 2, lost: 1 }));
  registerGoals(registry, () => ({ copied: 5, conflicts: 0, malformed: 0, refused: 7 }));
  registerBuilder(registry, 2, () => ({ running: 1, succeeded: 4, failed: 5, lost: 6 }));
  book.neighbours(9, 6, 2);
  book.sent(7);
  book.local(8);
  book.received(10, true, false);
  book.received(20, false, true);
  book.banned();
  try {
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
        'slipway_region_host_messages_total{result="decommissioned"} 1',
        'slipway_region_host_messages_total{result="dropped"} 2',
        'slipway_region_host_messages_total{result="taken"} 6',
        "slipway_region_leader 1",
        'slipway_region_leader_changes_total{result="gained"} 2',
        'slipway_region_goals_total{result="refused"} 7',
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
  } finally {
    await server.stop();
  }
});

test.run();
