import { ApplicationGoal, GLOBAL_GOALS_BUCKET, HostPhase, type Goal } from "@slipway/proto";
import { freePort, startNats } from "@slipway/examples/servers";
import { connect } from "nats";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GoalFollower } from "../../src/host/goal-follower.js";
import { NatsLink } from "../../src/nats/link.js";
import { GoalCopier } from "../../src/region/goal-copier.js";
import {
  ask,
  eventually,
  log,
  makeGoal,
  serviceScript,
  temporaryFolder,
  TestHost,
} from "./fixtures.js";

/** A host of region "eu" that gets its goals from the global bucket, by way of its region's agent. */
async function startHost() {
  const ends: (() => Promise<unknown>)[] = [];
  const { folder, remove } = await temporaryFolder();
  ends.push(remove);
  const nats = await startNats();
  ends.push(() => nats.stop());
  const connection = await connect({ servers: nats.url });
  ends.push(() => connection.close());
  const global = await connection.jetstream().views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
  const link = (): NatsLink => new NatsLink({ servers: [nats.url], name: "test", log });
  const [globalLink, regionLink, hostLink] = [link(), link(), link()];
  const region = "eu";
  const copier = new GoalCopier({
    region,
    globalLink,
    regionLink,
    leading: () => true,
    log,
    pollMs: 100,
  });
  const port = await freePort();
  const host = new TestHost(folder, port);
  const { applications } = host;
  const follower = new GoalFollower({
    link: hostLink,
    region,
    log,
    pollMs: () => 100,
    wants: (version) => applications.wants(version),
    onGoal: (application, signed) => void applications.offer(application, signed),
  });
  await applications.start();
  ends.push(() => applications.stop({ stopReleases: true }));
  copier.start();
  follower.start();
  for (const one of [globalLink, regionLink, hostLink]) {
    one.start();
    ends.push(() => one.stop());
  }
  ends.push(
    () => copier.stop(),
    () => follower.stop(),
  );
  return {
    host,
    port,
    copier,
    /** Writes an application's key, as a coordinator does. */
    put: async (generation: number, goals: readonly Goal[], application = "web"): Promise<void> => {
      const regions = Object.fromEntries(
        goals.map((goal) => [goal.region, host.signer.sign(goal)]),
      );
      const value = ApplicationGoal.fromPartial({ application, generation, regions });
      await global.put(application, ApplicationGoal.encode(value).finish());
    },
    stop: async (): Promise<void> => {
      for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
    },
  };
}

test("a host whose region is dropped runs on until it is told to stop, and comes back with it", async () => {
  const { host, port, copier, put, stop } = await startHost();
  try {
    const artifact = host.stager.add(serviceScript("v1"));
    const us = (generation: number): Goal => makeGoal(generation, artifact, { region: "us" });
    await put(1, [makeGoal(1, artifact), us(1)]);
    await eventually("an application", () => host.applications.statuses().length > 0);
    await host.reaches(1, HostPhase.RUNNING);
    // The deployment without eu is under way.
    await put(2, [us(2)]);
    await put(1, [makeGoal(1, artifact, { application: "api", selector: { no: "host" } })], "api");
    await eventually("all that was put", () => copier.goals.get("api")?.generation === 1);
    assert.is(copier.goals.get("web")?.generation, 1);
    assert.is((await ask(port))?.version, "v1");
    // It has succeeded.
    const removed = makeGoal(2, artifact, { removed: true, run: undefined, bucketLimit: 0 });
    await put(2, [us(2), removed]);
    await host.forgets();
    assert.is(await ask(port), undefined);
    await put(3, [makeGoal(3, artifact), us(3)]);
    await eventually("the application", () => host.applications.statuses().length > 0);
    await host.reaches(3, HostPhase.RUNNING);
    assert.is((await ask(port))?.version, "v1");
  } finally {
    await stop();
  }
});

test.run();
