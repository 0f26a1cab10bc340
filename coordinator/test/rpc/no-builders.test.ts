import { status } from "@grpc/grpc-js";
import {
  BuildStatus,
  DeploymentServiceClient,
  ListBuildsRequest,
  type Build,
  type WatchBuildResponse,
} from "@slipway/proto";
import { credentials } from "@grpc/grpc-js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { connectTo, startFleet, TestBuilder, type TestFleet } from "../fleet.js";
import { goodSpec } from "../postgres.js";
import { failure, until } from "../rollout/world.js";

const test = suite("builds without a builder");
const SHA = "0123456789abcdef0123456789abcdef01234567";
const NONE = /^no builder is connected to any coordinator/;
let fleet: TestFleet;
const ends: (() => void)[] = [];

test.before(async () => {
  fleet = await startFleet();
});
test.after(async () => {
  for (const end of ends.splice(0)) end();
  await fleet?.close();
});

test("a queued build says that nobody is there to take it, whichever coordinator is asked", async () => {
  const pace = { watchIntervalMs: 200 };
  const [one, other] = [await fleet.start(pace), await fleet.start(pace)];
  const [asked, elsewhere] = [connectTo(one), connectTo(other)];
  ends.push(
    () => asked.close(),
    () => elsewhere.close(),
  );
  await call(asked.applications, "applyApplication", {
    name: "shop",
    spec: goodSpec(),
    expectedRevision: 0,
    actor: "",
    reason: "",
  });
  const submission = { application: "shop", commitSha: SHA, idempotencyKey: "", submitter: "" };
  const { build } = await call(asked.builds, "submitBuild", submission);
  const id = build?.id ?? "";
  const read = async (): Promise<Build | undefined> =>
    (await call(asked.builds, "getBuild", { id })).build;

  const watched: (Build | undefined)[] = [];
  const watch = {
    id,
    logs: false,
    afterLogSequence: 0,
    untilDeployable: false,
    untilCaughtUp: false,
  };
  const stream = asked.builds.watchBuild(watch);
  stream.on("data", ({ event }: WatchBuildResponse) => {
    if (event?.$case === "build") watched.push(event.value);
  });
  stream.on("error", () => undefined);
  ends.push(() => stream.cancel());

  await until(
    "that nobody is there",
    async () => NONE.test((await read())?.queueing?.blockedBy ?? ""),
    30_000,
  );
  await until("that who watches hears it", () =>
    NONE.test(watched.at(-1)?.queueing?.blockedBy ?? ""),
  );
  const again = await call(asked.builds, "submitBuild", submission);
  assert.match(again.build?.queueing?.blockedBy ?? "", NONE);
  const listed = await call(asked.builds, "listBuilds", ListBuildsRequest.fromPartial({}));
  assert.match(listed.builds[0]?.queueing?.blockedBy ?? "", NONE);

  const deployments = new DeploymentServiceClient(one.address, credentials.createInsecure());
  ends.push(() => deployments.close());
  const refused = await failure(
    call(deployments, "createDeployment", {
      buildId: id,
      waitForReplication: true,
      creator: "",
      reason: "",
      idempotencyKey: "",
      strategy: undefined,
      overrideFreeze: false,
    }),
  );
  assert.is(refused.code, status.FAILED_PRECONDITION);
  assert.match(
    refused.details,
    /it is QUEUED; wait until it has SUCCEEDED; no builder is connected/,
  );

  const builder = new TestBuilder(elsewhere.builders);
  await builder.hello("b1", 0);
  await until("that one is there", () => {
    const { connectedBuilders = 0, blockedBy = "?" } = watched.at(-1)?.queueing ?? {};
    return connectedBuilders === 1 && blockedBy === "";
  });
  builder.cut();
  await until("that it has gone", () =>
    /the last one was b1, until 2\d{3}-/.test(watched.at(-1)?.queueing?.blockedBy ?? ""),
  );
  const next = new TestBuilder(elsewhere.builders);
  await next.hello("b2", 1);
  const { lease } = await next.hear("leased");
  assert.is(lease?.buildId, id);
  const running = await until("that it runs", async () => {
    const now = await read();
    return now?.status === BuildStatus.RUNNING && now;
  });
  assert.is(running.queueing, undefined);
  next.cut();
});

test.run();
