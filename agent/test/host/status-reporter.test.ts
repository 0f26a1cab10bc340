import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { StatusReporter } from "../../src/host/status-reporter.js";
import { eventually } from "./fixtures.js";

test("phases at once, progress once a second, the whole now and then", async () => {
  const published: number[] = [];
  const reporter = new StatusReporter({
    publish: () => published.push(performance.now()),
    repeatMs: 600_000,
  });
  reporter.start();
  await eventually("the first report", () => published.length === 1);
  reporter.changed("phase");
  reporter.changed("phase");
  reporter.changed("progress");
  await eventually("one report of what changed together", () => published.length === 2);
  for (let index = 0; index < 20; index += 1) {
    reporter.changed("progress");
    await delay(5);
  }
  assert.is(published.length, 2);
  await eventually("the progress", () => published.length === 3);
  const [, second = 0, third = 0] = published;
  assert.ok(third - second >= 950, `${third - second} ms`);
  reporter.changed("progress");
  reporter.stop();
  reporter.stop();
  assert.is(published.length, 4, "what was still to be said is said at the end");
  reporter.changed("phase");
  await delay(20);
  assert.is(published.length, 4);
});

test("repeats", async () => {
  let published = 0;
  const reporter = new StatusReporter({ publish: () => (published += 1), repeatMs: 20 });
  reporter.start();
  await eventually("repeats", () => published > 4);
  reporter.stop();
});

test("an introduction is repeated early, less and less often", async () => {
  const published: number[] = [];
  const reporter = new StatusReporter({
    publish: () => published.push(performance.now()),
    repeatMs: 600_000,
  });
  reporter.start();
  await eventually("the first report", () => published.length === 1);
  reporter.introduce();
  await eventually("the introduction and two repeats", () => published.length === 4);
  const [, first = 0, second = 0, third = 0] = published;
  assert.ok(second - first >= 440 && third - second >= 890, published.join());
  reporter.stop();
  reporter.introduce();
  assert.is(published.length, 4);
});

test.run();
