import { HostFailureReason, HostPhase, verifyKeySet } from "@slipway/proto";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TrustedKeys } from "../../src/trust/trusted-keys.js";
import {
  ask,
  eventually,
  GoalSigner,
  makeGoal,
  serviceScript,
  temporaryFolder,
  TestHost,
} from "../host/fixtures.js";
import { type Listed, Root } from "./fixtures.js";

interface Context {
  folder: string;
  remove: () => Promise<void>;
  port: number;
  host: TestHost;
  clock: { now: number };
  list: (version: number, goal: Listed[], revoked?: GoalSigner[]) => void;
  /** The host's agent starts again, and knows what it knew of keys. */
  restart: () => Promise<void>;
}

const { GOAL_KEY_NOT_TRUSTED, GOAL_REFUSED } = HostFailureReason;
const test = suite<Context>("what was obeyed, and its key");
const [first, second] = [new GoalSigner(), new GoalSigner()];
const membership = [new GoalSigner().publicKey];

test.before.each(async (context) => {
  const { folder, remove } = await temporaryFolder();
  const port = await freePort();
  const clock = { now: 0 };
  const root = new Root();
  const options = { first: { goalKeys: [], membershipKeys: [] }, rootKeys: [root.publicKey] };
  const trust = new TrustedKeys({ ...options, now: () => clock.now });
  const list: Context["list"] = (version, goal, revoked = []) => {
    const named = revoked.map(({ publicKey }) => publicKey);
    const set = root.set(version, { goal, membership, revoked: named });
    assert.is(trust.take(verifyKeySet(set, [root.publicKey])), "taken");
  };
  const start = async (stager?: TestHost["stager"]): Promise<void> => {
    const parts = { signer: first, keys: trust.goals, ...(stager && { stager }) };
    context.host = new TestHost(folder, port, parts);
    await context.host.applications.start();
  };
  const restart = async (): Promise<void> => {
    await context.host.applications.stop({ stopReleases: false });
    await start(context.host.stager);
  };
  Object.assign(context, { folder, remove, port, clock, list, restart });
  list(1, [first.publicKey]);
  await start();
});
test.after.each(async ({ host, remove }) => {
  await host.applications.stop({ stopReleases: true });
  await remove();
});

const said = (host: TestHost, reason: HostFailureReason | undefined) =>
  eventually(
    `${String(reason)} to be said`,
    () => {
      const { failure, phase } = host.status();
      return failure?.reason === reason && phase === HostPhase.RUNNING;
    },
    30_000,
  );

test("a key that ends is told without anybody's doing, and what runs goes on", async (context) => {
  const { host, clock, list, port } = context;
  list(2, [{ key: first.publicKey, notAfter: new Date(1_000) }]);
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  const pid = (await ask(port))?.pid;
  clock.now = 1_000;
  await said(host, GOAL_KEY_NOT_TRUSTED);
  await context.restart();
  await said(context.host, GOAL_KEY_NOT_TRUSTED);
  assert.is(context.host.status().generation, 1);
  assert.is((await ask(port))?.pid, pid);
  // Nothing of that key's is obeyed any more, be it new.
  await context.host.obey(makeGoal(2, host.stager.add(serviceScript("v2"))));
  assert.is((await ask(port))?.version, "v1");
  // The fleet takes it back.
  list(3, [first.publicKey]);
  context.host.applications.checkKeys();
  await said(context.host, undefined);
});

test("the order that a goal of a revoked key has set holds nobody, over restarts too", async (context) => {
  const { host, list, port } = context;
  list(2, [first.publicKey, second.publicKey]);
  const one = host.stager.add(serviceScript("v1"));
  const two = host.stager.add(serviceScript("v2"));
  await host.obey(makeGoal(2 ** 52, one));
  await host.reaches(2 ** 52, HostPhase.RUNNING);
  const next = second.bytes(makeGoal(7, two));
  // As long as its key holds, and when it is merely gone, the order holds.
  for (const version of [2, 3]) {
    if (version === 3) list(version, [second.publicKey]);
    await context.host.applications.offer("web", next);
    await said(context.host, GOAL_REFUSED);
    await context.restart();
  }
  list(4, [second.publicKey], [first]);
  await context.restart();
  // What runs is kept, though nothing is known of its goal any more.
  const { failure, runningBuildId } = await eventually("what runs", () => {
    return context.host.status().runningBuildId !== "" && context.host.status();
  });
  assert.equal([failure?.reason, runningBuildId], [GOAL_KEY_NOT_TRUSTED, `build-${2 ** 52}`]);
  assert.is((await ask(port))?.version, "v1");
  await context.host.applications.offer("web", next);
  await context.host.reaches(7, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v2");
  // And of what holds there is an order again.
  await context.host.applications.offer("web", second.bytes(makeGoal(6, one)));
  await said(context.host, GOAL_REFUSED);
});

test("an application that a revoked key has removed comes back", async (context) => {
  const { host, list, port } = context;
  const one = host.stager.add(serviceScript("v1"));
  await host.obey(makeGoal(1, one));
  await host.reaches(1, HostPhase.RUNNING);
  await host.obey(makeGoal(2 ** 52, one, { removed: true, run: undefined }));
  await host.forgets();
  await context.restart();
  list(2, [second.publicKey]);
  const goal = second.bytes(makeGoal(3, one));
  await context.host.applications.offer("web", goal);
  assert.is(context.host.status().failure?.reason, GOAL_REFUSED);
  list(3, [second.publicKey], [first]);
  await context.host.applications.offer("web", goal);
  await context.host.reaches(3, HostPhase.RUNNING);
  assert.is((await ask(port))?.version, "v1");
});

test.run();
