import { createHash } from "node:crypto";
import { HOST_BUCKETS } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { reachOf } from "../../src/rollout/step-reach.js";

for (const [hosts, percent, expected, least, most] of [
  [0, 25, 0, 0, 0],
  [1, 1, 1, 1, 1],
  [4, 25, 1, 1, 3],
  [4, 100, 4, 4, 4],
  [12, 10, 1, 1, 3],
  [20, 50, 10, 6, 14],
  [20, 99, 20, 19, 20],
  [1_000, 1, 10, 5, 15],
  [1_000, 99, 990, 985, 995],
  [2_000, 1, 20, 12, 28],
  [100_000, 25, 25_000, 24_774, 25_226],
] as const) {
  test(`${percent} % of ${hosts} hosts: ${least} to ${most}`, () => {
    assert.equal(reachOf(hosts, percent), { expected, least, most });
  });
}

/** As hosts do it (agent/src/host/choose.ts). */
function bucketOf(hostId: string, deploymentId: string): number {
  const hash = createHash("sha256").update(`${hostId}/${deploymentId}`).digest();
  return hash.readUInt32BE(0) % HOST_BUCKETS;
}

for (const [hosts, percent] of [
  [4, 25],
  [12, 10],
  [100, 30],
] as const) {
  test(`of ${hosts} hosts as many are below ${percent} % as is said, in nine of ten deployments`, () => {
    const { least, most } = reachOf(hosts, percent);
    const deployments = Array.from({ length: 2_000 }, (_, n) => `deployment-${n}`);
    const within = deployments.filter((deployment) => {
      const ids = Array.from({ length: hosts }, (_, n) => `host-${n}`);
      const chosen = ids.filter((id) => bucketOf(id, deployment) < percent * 100).length;
      return Math.max(1, chosen) >= least && Math.max(1, chosen) <= most;
    });
    assert.ok(within.length >= 0.88 * deployments.length, `${within.length}`);
  });
}

test.run();
