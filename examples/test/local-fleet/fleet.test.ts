import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  type Client,
  type ClientOptions,
  createClient,
  Role,
  type SlipwayError,
} from "@slipway/sdk";
import { connect, type ConnectionOptions } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tokenFile } from "../../src/local-fleet/files.js";
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

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "OK";
  } catch (error) {
    return (error as SlipwayError).code;
  }
}

fleets("lets in nobody who does not belong, and everybody who does", async () => {
  const fleet = await startLocalFleet({ ...small, natsPerRegion: true });
  const { dir, caFile, coordinator: address, client: admin } = fleet;
  const tls = { rootCertificates: await readFile(caFile) };
  const ends: (() => void)[] = [];
  const calling = (options: ClientOptions): Client => {
    const opened = createClient({ coordinator: address, timeoutMs: 10_000, ...options });
    ends.push(() => opened.close());
    return opened;
  };
  try {
    const regions = (client: Client): Promise<string> => codeOf(client.fleet.regions());
    assert.is(await regions(calling({ tls: false })), "UNAVAILABLE");
    assert.is(await regions(calling({ tls })), "UNAUTHENTICATED");
    const builders = await readFile(tokenFile(dir, "builder-1"), "utf8");
    assert.is(await regions(calling({ tls, token: builders.trim() })), "PERMISSION_DENIED");
    const viewer = await fleet.connect("eve", "viewer");
    assert.is(await regions(viewer), "OK");
    const removal = viewer.fleet.decommissionHost({ hostId: "eu-1" });
    assert.is(await codeOf(removal), "PERMISSION_DENIED");
    const areAudited = async (): Promise<boolean> => {
      const { items } = await admin.audit.listPage({ action: "token.refused" });
      return (
        items
          .map(({ actor }) => actor)
          .sort()
          .join() === "builder-1,eve"
      );
    };
    await waitFor(areAudited, 10_000, "both refusals are in the audit");

    const { items } = await admin.members.listPage();
    assert.equal(
      items.map(({ id, role }) => [id, role]),
      [
        ["builder-1", Role.BUILDER],
        ["eu-1", Role.HOST],
        ["eu-agent", Role.REGION],
      ],
    );
    for (const server of [fleet.nats, ...fleet.regionNats.values()]) {
      const come = (options: ConnectionOptions): Promise<string> =>
        connect({ servers: server.url, noAsyncTraces: true, ...options }).then(
          () => "let in",
          (error: Error) => error.message,
        );
      assert.match(await come({ tls: { caFile } }), /Authorization Violation/);
      assert.not.equal(await come({ tls: {} }), "let in");
      assert.not.match(
        await readFile(server.logFile, "utf8"),
        /Publish Violation|Subscription Violation/,
      );
    }
    for (const { args } of fleet.processes.values()) assert.not(args.includes("--insecure"));
  } finally {
    for (const end of ends) end();
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
