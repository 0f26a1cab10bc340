import { writeFile } from "node:fs/promises";
import path from "node:path";
import { HostPhase } from "@slipway/proto";
import { freePort } from "@slipway/examples/servers";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  ask,
  eventually,
  httpRun,
  makeGoal,
  serviceScript,
  temporaryFolder,
  TestHost,
} from "./fixtures.js";

test("a clock that is set forward fails no release that is starting, and one set back no later one", async () => {
  const { folder, remove } = await temporaryFolder();
  const port = await freePort();
  const host = new TestHost(folder, port);
  await host.applications.start();
  const { now } = Date;
  let offMs = 0;
  try {
    for (const [version, jumpMs] of [
      [1, 3_600_000],
      [2, -7_200_000],
    ] as const) {
      const goOn = path.join(folder, `go-on-${version}`);
      const [first = "", ...serve] = serviceScript(`v${version}`).split("\n");
      const waits = `const wait = () => require("fs").existsSync(${JSON.stringify(goOn)}) ? start() : setTimeout(wait, 20);`;
      const script = [first, "const start = () => {", ...serve, "};", waits, "wait();"].join("\n");
      const artifact = host.stager.add(script);
      await host.obey(makeGoal(version, { ...artifact, run: httpRun({ deadlineMs: 15_000 }) }));
      await host.reaches(version, HostPhase.ACTIVATING);
      await eventually("what ran before to be gone", async () => (await ask(port)) === undefined);
      offMs += jumpMs;
      Date.now = () => now() + offMs;
      await writeFile(goOn, "");
      await host.reaches(version, HostPhase.RUNNING);
      assert.is((await ask(port))?.version, `v${version}`);
    }
  } finally {
    Date.now = now;
    await host.applications.stop({ stopReleases: true });
    await remove();
  }
});

test.run();
