import { test } from "uvu";
import * as assert from "uvu/assert";
import { median } from "../../src/demo/memory.js";
import { summary } from "../../src/demo/summary.js";

const MEBIBYTE = 1024 * 1024;

test("a column for each step, and the memory of each kind of process", () => {
  const bytes = {
    fromPeers: 30 * MEBIBYTE,
    fromSeeders: 10 * MEBIBYTE,
    fromLocal: 0,
    fromReuse: 0,
  };
  const none = { fromPeers: 0, fromSeeders: 0, fromLocal: 0, fromReuse: 2 * MEBIBYTE };
  const lines = summary(
    [
      { title: "1234567", leased: 12, build: 1_500, replicate: 700, lastHost: 2_900, ...bytes },
      { title: "roll back", lastHost: 900, ...none },
    ],
    3,
    [{ kind: "host", count: 12, resident: 80 * MEBIBYTE }],
  );
  assert.equal(lines, [
    "                               1234567   roll back",
    "submit to leased                 12 ms           –",
    "build                           1.50 s           –",
    "replicate to 3 regions          0.70 s           –",
    "deploy to last host running     2.90 s      0.90 s",
    "bytes from peers              30.0 MiB           0",
    "bytes from seeders            10.0 MiB           0",
    "bytes already on the hosts           0           0",
    "bytes from other builds              0     2.0 MiB",
    "",
    "memory at rest   processes       each",
    "host                    12   80.0 MiB",
  ]);
});

test("median", () => {
  assert.is(median([]), 0);
  assert.is(median([3]), 3);
  assert.is(median([9, 1, 5]), 5);
});

test.run();
