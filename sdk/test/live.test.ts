import { Deployment, DeploymentState, RegionProgress } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { followDeployment } from "../src/cli/follow-deployment.js";
import { LiveBlock } from "../src/cli/live-block.js";
import type { Output, Session } from "../src/cli/session.js";
import type { Client } from "../src/index.js";
import { SlipwayError } from "../src/index.js";
import { testSignal } from "./support/signal.js";

const ESC = "\u001b";

function terminal(
  rows = 24,
  onWrite: (text: string) => void = () => undefined,
): Output & { written: string[] } {
  const written: string[] = [];
  return {
    written,
    isTerminal: true,
    colour: false,
    columns: () => 80,
    rows: () => rows,
    write: async (text) => {
      written.push(text);
      onWrite(text);
    },
  };
}

test("draws in place, and no more than fits", async () => {
  const output = terminal(4);
  const block = new LiveBlock(output);
  await block.draw(["a", "b"]);
  await block.draw(["c", "d", "e", "f"]);
  await block.draw(["g"]);
  assert.equal(output.written, [
    `\r${ESC}[Ja\nb\n`,
    `${ESC}[2A\r${ESC}[Jc\nd\ne\n`,
    `${ESC}[3A\r${ESC}[Jg\n`,
  ]);
});

const progress = (state: DeploymentState) => ({
  deployment: Deployment.fromPartial({ id: "d", application: "web", commitSha: "abc", state }),
  regions: [RegionProgress.fromPartial({ region: "eu" })],
});

test("shows bars, trouble while a coordinator is away, and the end", async () => {
  const troubleShown = testSignal("trouble on the display");
  const stdout = terminal(24, (text) => {
    if (text.includes("cannot reach it; trying again")) troubleShown.fire();
  });
  const trouble = new SlipwayError({ code: "UNAVAILABLE", message: "cannot reach it" });
  let before: unknown;
  const session: Session = {
    client: {
      deployments: {
        watch: async function* () {
          yield progress(DeploymentState.RUNNING);
          session.onRetry({
            method: "WatchDeployment",
            failures: 1,
            delayMs: 2_000,
            error: trouble,
          });
          await troubleShown.promise;
          yield progress(DeploymentState.SUCCEEDED);
        },
      },
    } as unknown as Client,
    json: false,
    stdout,
    stderr: terminal(),
    signal: new AbortController().signal,
    user: "",
    now: () => 0,
    readFile: async () => "",
    onRetry: (retry) => void (before = retry),
  };
  const { onRetry } = session;
  assert.is(await followDeployment(session, "d"), 0);
  assert.match(stdout.written[0] ?? "", "web abc  RUNNING\neu  [");
  assert.not.match(stdout.written.at(-2) ?? "", "cannot reach it");
  assert.is(stdout.written.at(-1), "web abc runs on every host\n");
  assert.is(before, undefined);
  assert.is(session.onRetry, onRetry);
});

test.run();
