import { test } from "uvu";
import * as assert from "uvu/assert";
import { reportLines } from "../../src/under-fire/report-lines.js";
import { runUnderFire } from "../../src/under-fire/run.js";
import { testScale } from "../../src/under-fire/scale.js";

const SEED = 1;
const KINDS = [
  "builder",
  "coordinator",
  "global nats",
  "host agent",
  "postgres",
  "region agent",
  "regional nats",
];

test("builds and deployments come to their ends while everything is killed", async () => {
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
  assert.is(report.facts.submittedBuilds.length, scale.builds);
  // Of the planned ones some may be refused: nothing to go back to, for instance.
  assert.ok(report.facts.createdDeployments.length > scale.deployments / 2, said);
  for (const kind of KINDS)
    assert.ok(
      [...report.faults.keys()].some((each) => each === kind),
      said,
    );
});

test.run();
