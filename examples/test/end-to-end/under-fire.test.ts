import { test } from "uvu";
import * as assert from "uvu/assert";
import { reportLines } from "../../src/under-fire/report-lines.js";
import { runUnderFire } from "../../src/under-fire/run.js";
import { testScale } from "../../src/under-fire/scale.js";

const SEED = 1;
const FAULTS = [
  "kill builder",
  "kill coordinator",
  "kill global nats",
  "kill host agent",
  "kill postgres",
  "kill region agent",
  "kill regional nats",
  "hang builder",
  "hang coordinator",
  "hang global nats",
  "hang host agent",
  "hang region agent",
  "hang regional nats",
  "relabel host agent",
];

test("builds and deployments come to their ends while everything is killed or hangs", async () => {
  const scale = testScale(SEED);
  const lines: string[] = [];
  const report = await runUnderFire(scale, {
    signal: AbortSignal.timeout(220_000),
    onLine: (line) => lines.push(line),
  }).catch((error: unknown) => {
    console.log(lines.join("\n"));
    throw error;
  });
  const said = [...lines, ...reportLines(report)].join("\n");
  for (const { invariant, violations } of report.verdicts) {
    assert.equal(violations, [], `${invariant}\n${said}`);
  }
  const { facts } = report;
  // Of what is planned some is refused: nothing to go back to, frozen, removed.
  assert.ok(facts.submittedBuilds.length > scale.builds / 2, said);
  assert.ok(facts.createdDeployments.length > scale.deployments / 3, said);
  assert.equal(facts.decommissioned.length, 1, said);
  assert.ok(
    facts.applications.some(({ isRemoved }) => isRemoved),
    said,
  );
  for (const fault of FAULTS) assert.ok(report.faults.has(fault), `no ${fault}\n${said}`);
});

test.run();
