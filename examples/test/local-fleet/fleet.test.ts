import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { connect } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FleetError, startLocalFleet } from "../../src/local-fleet/index.js";
import { processesIn } from "../../src/processes/leftovers.js";
import { waitFor } from "../wait-for.js";

const fleets = suite("local fleet");
const small = { regions: ["eu"], hostsPerRegion: 1, builders: 1 };

fleets("runs real processes, says which one ended, and leaves nothing", async () => {
  const fleet = await startLocalFleet(small);
  try {
    assert.equal([...fleet.processes.keys()], ["coordinator", "builder-1", "eu-agent", "eu-1"]);
    const { items } = await fleet.client.fleet.hostsPage();
    assert.equal(
      items.map(({ enrolment }) => [enrolment?.hostId, enrolment?.labels]),
      [["eu-1", { tier: "web", place: "first" }]],
    );
    await fleet.process("eu-1").kill();
    assert.is(fleet.process("eu-1").pid, undefined);
    await fleet.process("eu-1").start();
    assert.not(fleet.broken.aborted);

    const builder = fleet.process("builder-1");
    const hasStarted = async (): Promise<boolean> =>
      (await builder.logTail()).includes("builder-1");
    await waitFor(hasStarted, 20_000, "the builder says that it has started");
    process.kill(builder.pid as number, "SIGKILL");
    await waitFor(() => fleet.broken.aborted, 10_000, "the fleet says that it is broken");
    const reason = fleet.broken.reason as FleetError;
    assert.instance(reason, FleetError);
    assert.is(reason.message, "builder-1 ended: SIGKILL");
    assert.match(reason.logs[0]?.tail ?? "", /builder-1/);
  } finally {
    await fleet.stop();
    await fleet.stop();
  }
  assert.not(existsSync(fleet.dir));
  assert.equal(await processesIn(fleet.dir), []);
});

fleets("runs where NATS lets every process do its own work only", async () => {
  const fleet = await startLocalFleet({ ...small, natsPerRegion: true, natsUsers: true });
  try {
    for (const server of [fleet.nats, ...fleet.regionNats.values()]) {
      const stranger = await connect({ servers: server.url, noAsyncTraces: true }).then(
        () => "let in",
        String,
      );
      assert.match(stranger, /Authorization Violation/);
      assert.not.match(
        await readFile(server.logFile, "utf8"),
        /Publish Violation|Subscription Vio/,
      );
    }
  } finally {
    await fleet.stop();
  }
});

fleets("gives up starting when it is told to", async () => {
  const stopping = new AbortController();
  const steps: string[] = [];
  const error = await startLocalFleet({
    ...small,
    signal: stopping.signal,
    onProgress: (step) => {
      steps.push(step);
      if (step === "coordinator") stopping.abort(new Error("enough"));
    },
  }).catch((reason: Error) => reason);
  assert.is((error as Error).message, "enough");
  assert.is(steps.at(-1), "coordinator");
});

fleets("ends with a killed owner", async () => {
  const script = fileURLToPath(new URL("fixtures/owner.ts", import.meta.url));
  const owner = spawn(process.execPath, ["--import", "tsx", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [dir] = (await once(createInterface({ input: owner.stdout }), "line")) as [string];
  assert.ok((await processesIn(dir)).length >= 5);
  owner.kill("SIGKILL");
  await waitFor(() => !existsSync(dir), 20_000, "removed directory");
  assert.equal(await processesIn(dir), []);
});

fleets.run();
