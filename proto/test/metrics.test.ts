import { Registry } from "prom-client";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  registerCount,
  registerCounts,
  registerCountsBy,
  registerGauge,
  registerGauges,
  registerInfo,
} from "../src/metrics.js";

/** The samples, as they are written. */
async function scrape(registry: Registry): Promise<string[]> {
  const lines = (await registry.metrics()).split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}

test("each scrape tells what is so then, and adds nothing to the one before", async () => {
  const registry = new Registry();
  let count = 1;
  registerInfo(registry, { name: "info", help: "h", labels: { role: "host", id: "h1" } });
  registerGauge(registry, { name: "now", help: "h", read: () => count });
  registerGauge(registry, { name: "later", help: "h", read: () => Promise.resolve(count) });
  registerGauges(registry, { name: "kinds", help: "h", label: "kind", read: () => ({ a: count }) });
  registerCount(registry, { name: "count", help: "h", read: () => count });
  registerCounts(registry, { name: "counts", help: "h", label: "how", read: () => ({ b: count }) });
  registerCountsBy(registry, {
    name: "combined",
    help: "h",
    labels: ["key", "result"],
    read: () => [
      [["goal", "ok"], count],
      [["goal", "failed"], 0],
    ],
  });
  for (const expected of [1, 1, 7]) {
    count = expected;
    assert.equal(await scrape(registry), [
      'info{role="host",id="h1"} 1',
      `now ${expected}`,
      `later ${expected}`,
      `kinds{kind="a"} ${expected}`,
      `count ${expected}`,
      `counts{how="b"} ${expected}`,
      `combined{key="goal",result="ok"} ${expected}`,
      'combined{key="goal",result="failed"} 0',
    ]);
  }
});

test("what is not known is not told, and is told once it is known", async () => {
  const registry = new Registry();
  let known = false;
  registerGauge(registry, { name: "gauge", help: "h", read: () => (known ? 2 : undefined) });
  registerGauges(registry, {
    name: "gauges",
    help: "h",
    label: "kind",
    read: () => (known ? { a: 3 } : undefined),
  });
  registerCounts(registry, {
    name: "counts",
    help: "h",
    label: "kind",
    read: () => (known ? { a: 4 } : undefined),
  });
  assert.equal(await scrape(registry), []);
  known = true;
  assert.equal(await scrape(registry), ["gauge 2", 'gauges{kind="a"} 3', 'counts{kind="a"} 4']);
  known = false;
  assert.equal(await scrape(registry), []);
});

test.run();
