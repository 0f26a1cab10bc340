import { HostPhase, RegionApplicationStatus, type RegionProgress } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { totalsOf } from "../../src/rollout/progress.js";

type Counts = NonNullable<Parameters<typeof RegionApplicationStatus.fromPartial>[0]>;

const region = (name: string, status?: Counts): RegionProgress => ({
  region: name,
  silent: false,
  warming: false,
  status: status && RegionApplicationStatus.fromPartial(status),
  bucketLimit: 0,
  replication: 0,
  natsAwaySince: undefined,
});

test("regions are added up, those that say nothing as nothing", () => {
  const totals = totalsOf([
    region("eu", {
      hostCount: 3,
      silentCount: 1,
      phases: [
        { phase: HostPhase.RUNNING, count: 1 },
        { phase: HostPhase.STAGING, count: 2 },
      ],
      bytesDone: 100,
      bytesTotal: 300,
      bytesPerSecond: 10,
    }),
    region("us", {
      hostCount: 2,
      phases: [{ phase: HostPhase.STAGING, count: 2 }],
      bytesTotal: 200,
      bytesPerSecond: 30,
    }),
    region("ap"),
  ]);
  assert.equal(totals, {
    hostCount: 5,
    phases: [
      { phase: HostPhase.STAGING, count: 4 },
      { phase: HostPhase.RUNNING, count: 1 },
    ],
    silentCount: 1,
    bytesDone: 100,
    bytesTotal: 500,
    bytesPerSecond: 40,
    eta: { seconds: 10, nanos: 0 },
  });
});

const ETAS: [string, Counts, number | undefined][] = [
  ["all is there", { bytesDone: 5, bytesTotal: 5, bytesPerSecond: 1 }, undefined],
  ["nothing moves", { bytesDone: 1, bytesTotal: 5 }, undefined],
  ["more than announced", { bytesDone: 6, bytesTotal: 5, bytesPerSecond: 1 }, undefined],
  ["the rest at the present rate", { bytesDone: 1, bytesTotal: 5, bytesPerSecond: 2 }, 2],
];

for (const [name, counts, seconds] of ETAS) {
  test(`time left: ${name}`, () => {
    assert.is(totalsOf([region("eu", counts)]).eta?.seconds, seconds);
  });
}

test.run();
