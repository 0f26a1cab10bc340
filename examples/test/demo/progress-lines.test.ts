import {
  type DeploymentProgress,
  HostPhase,
  type RegionApplicationStatus,
  StepPhase,
} from "@slipway/sdk";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { progressLines, stepLine } from "../../src/demo/progress-lines.js";

const steps = [
  { wave: 1, regions: ["eu"], percent: 25, requiresPromotion: false, requiresApproval: false },
  { wave: 2, regions: ["us"], percent: 100, requiresPromotion: false, requiresApproval: false },
];
const status = (running: number, held: number, bytesDone: number) =>
  ({
    hostCount: 4,
    phases: [
      { phase: HostPhase.RUNNING, count: running },
      { phase: HostPhase.HELD, count: held },
    ],
    bytesDone,
    bytesTotal: 100,
  }) as RegionApplicationStatus;

const progress = {
  deployment: { steps, step: 1, stepPhase: StepPhase.STAGING, blockedBy: "" },
  regions: [
    { region: "eu", silent: false, status: status(1, 3, 100) },
    { region: "us", silent: false, status: status(0, 0, 50) },
    { region: "ap", silent: false, status: undefined },
    { region: "sa", silent: true, status: undefined },
  ],
} as unknown as DeploymentProgress;

test("says the step and each region", () => {
  assert.equal(progressLines(progress), [
    "step 1 of 2, 25 % of eu: staging",
    `eu   ${"█".repeat(16)} 1/4 running 3 ready`,
    `us   ${"█".repeat(8)}${"░".repeat(8)} 0/4 running`,
    "ap   waiting",
    "sa   silent",
  ]);
});

test("says what a step has done", () => {
  assert.is(stepLine(progress, 1), "step 1 of 2, 25 % of eu: 1 of 8 hosts run it");
});

test.run();
