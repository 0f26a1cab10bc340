import { status, type ServiceError } from "@grpc/grpc-js";
import {
  BuildFailureReason,
  BuildStatus,
  LogSource,
  WatchBuildRequest,
  WorkAccepted_Kind,
  WorkLost_Reason,
  type Build,
  type Lease,
  type LogLine,
  type WatchBuildResponse,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { connectTo, startFleet, TestBuilder, type TestFleet } from "../fleet.js";
import { eventually, goodSpec, sha } from "../postgres.js";

const test = suite("faults");
let fleet: TestFleet;

test.before(async () => {
  fleet = await startFleet();
  const coordinator = await fleet.start();
  const clients = connectTo(coordinator);
  const request = { name: "shop", spec: goodSpec(), expectedRevision: 0, actor: "", reason: "" };
  await call(clients.applications, "applyApplication", request);
  clients.close();
  await coordinator.stop();
});
test.after(() => fleet.close());

type Clients = ReturnType<typeof connectTo>;

let commits = 0;
const submit = async ({ builds }: Clients): Promise<Build> => {
  commits += 1;
  const request = {
    application: "shop",
    commitSha: sha(commits),
    idempotencyKey: "",
    submitter: "",
  };
  const { build } = await call(builds, "submitBuild", request);
  if (build === undefined) throw new Error("no build was answered");
  return build;
};
const read = async ({ builds }: Clients, id: string): Promise<Build> => {
  const { build } = await call(builds, "getBuild", { id });
  if (build === undefined) throw new Error("no build was answered");
  return build;
};
const leaseOf = async (builder: TestBuilder): Promise<Lease> => {
  const { lease } = await builder.hear("leased", 20_000);
  if (lease === undefined) throw new Error("no lease was said");
  return lease;
};
/** A coordinator with a build that builder b1 has leased; `end` ends all three. */
const startLeased = async (options: Parameters<TestFleet["start"]>[0] = {}) => {
  const coordinator = await fleet.start(options);
  const clients = connectTo(coordinator);
  const { id } = await submit(clients);
  const builder = new TestBuilder(clients.builders);
  await builder.hello("b1", 1);
  const lease = await leaseOf(builder);
  const end = async (): Promise<void> => {
    builder.cut();
    clients.close();
    await coordinator.stop();
  };
  return { clients, id, builder, lease, end };
};
const watch = ({ builds }: Clients, id: string, logs = false) =>
  builds.watchBuild(WatchBuildRequest.fromPartial({ id, logs }), { deadline: Date.now() + 30_000 });
const codeOf = async (promise: Promise<unknown>): Promise<status> => {
  try {
    await promise;
  } catch (error) {
    return (error as ServiceError).code;
  }
  return status.OK;
};

test("a builder that is lost: its build goes to another, its late result nowhere", async () => {
  const {
    clients,
    id,
    builder: lost,
    lease: old,
    end,
  } = await startLeased({ leaseDurationMs: 1_000 });
  lost.cut();
  const builder = new TestBuilder(clients.builders);
  await builder.hello("b2", 1);
  const lease = await leaseOf(builder);
  assert.equal(lease, { buildId: id, attempt: old.attempt + 1 });
  const late = new TestBuilder(clients.builders);
  await late.hello("b1", 0);
  late.complete(old, "f");
  const taken = { lease: old, reason: WorkLost_Reason.SUPERSEDED, message: "" };
  assert.equal(await late.hear("lost"), taken);
  builder.complete(lease, "a");
  assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.COMPLETE);
  assert.is((await read(clients, id)).artifact?.digest, `sha256:${"a".repeat(64)}`);
  for (const one of [builder, late]) one.cut();
  await end();
});

test("a builder that hangs is told that its build was taken", async () => {
  const { builder, lease, end } = await startLeased({ leaseDurationMs: 1_000 });
  const { lease: lost } = await builder.hear("lost");
  assert.equal(lost, lease);
  builder.ready(1, 1);
  const again = await leaseOf(builder);
  assert.is(again.attempt, 2);
  builder.complete(again);
  await builder.hear("accepted");
  await end();
});

test("stopping ends streams with UNAVAILABLE, and does not wait for them", async () => {
  const coordinator = await fleet.start();
  const clients = connectTo(coordinator);
  const { id } = await submit(clients);
  const stream = watch(clients, id);
  const events: WatchBuildResponse[] = [];
  const reading = async (): Promise<void> => {
    for await (const event of stream as AsyncIterable<WatchBuildResponse>) events.push(event);
  };
  const ended = codeOf(reading());
  const builder = new TestBuilder(clients.builders);
  await builder.hello("b1", 0);
  await eventually(() => events.length > 0 || undefined);
  const started = Date.now();
  await Promise.all([coordinator.stop(), coordinator.stop()]);
  assert.ok(Date.now() - started < 1_900, "it waited for the streams");
  assert.is(await ended, status.UNAVAILABLE);
  assert.is(((await builder.ended()) as ServiceError).code, status.UNAVAILABLE);
  clients.close();

  // Its restart goes on where it was.
  const next = await fleet.start();
  const nextClients = connectTo(next);
  const second = new TestBuilder(nextClients.builders);
  await second.hello("b1", 1);
  assert.is((await leaseOf(second)).buildId, id);
  await call(nextClients.builds, "cancelBuild", { id, submissionId: "", actor: "", reason: "" });
  assert.is((await second.hear("lost")).reason, WorkLost_Reason.CANCELLED);
  second.cut();
  nextClients.close();
  await next.stop();
});

test("Postgres restarts: UNAVAILABLE meanwhile, then on by itself, and no lease is lost", async () => {
  const { clients, id, builder, lease, end } = await startLeased({ leaseDurationMs: 3_000 });
  await fleet.stopPostgres();
  const get = () => call(clients.builds, "getBuild", { id });
  assert.is(await codeOf(get()), status.UNAVAILABLE);
  builder.say({ $case: "heartbeat", value: { leases: [lease] } });
  assert.is(((await builder.ended()) as ServiceError).code, status.UNAVAILABLE);
  await fleet.startPostgres();
  const build = await eventually(() =>
    get().then(
      (answer) => answer.build,
      () => undefined,
    ),
  );
  assert.equal([build.status, build.attempt], [BuildStatus.RUNNING, 1]);
  const again = new TestBuilder(clients.builders);
  await again.hello("b1", 1);
  again.complete(lease);
  assert.is((await again.hear("accepted")).kind, WorkAccepted_Kind.COMPLETE);
  // Changes are heard of again, and leasing goes on.
  const next = await submit(clients);
  assert.is((await leaseOf(again)).buildId, next.id);
  await call(clients.builds, "cancelBuild", {
    id: next.id,
    submissionId: "",
    actor: "",
    reason: "",
  });
  assert.is((await again.hear("lost")).reason, WorkLost_Reason.CANCELLED);
  again.cut();
  await end();
});

test("NATS is away: builds end, a watch says that logs are missing, and they follow", async () => {
  const { clients, id, builder, lease, end } = await startLeased();
  builder.log(lease, 1, "before");
  await builder.hear("logsAccepted");
  await fleet.stopNats();
  const notices: string[] = [];
  let state = BuildStatus.UNSPECIFIED;
  const watching = (async () => {
    for await (const { event } of watch(clients, id, true) as AsyncIterable<WatchBuildResponse>) {
      if (event?.$case === "build") state = event.value.status;
      if (event?.$case !== "logs") continue;
      for (const { source, text } of event.value.lines) {
        if (source === LogSource.SYSTEM) notices.push(text);
      }
    }
  })();
  await eventually(() => state === BuildStatus.RUNNING || undefined);
  await eventually(() => notices.length > 0 || undefined);
  assert.match(notices[0] ?? "", /logs are not available/);
  // Who asks for what is kept gets no shorter log.
  const kept = clients.builds.watchBuild(
    WatchBuildRequest.fromPartial({ id, logs: true, untilCaughtUp: true }),
    { deadline: Date.now() + 30_000 },
  );
  assert.is(await codeOf(kept[Symbol.asyncIterator]().next()), status.UNAVAILABLE);
  const reason = BuildFailureReason.COMMAND_FAILED;
  const failure = { reason, message: "make: exit 1", exitCode: 1 };
  builder.log(lease, 2, "meanwhile");
  builder.say({ $case: "fail", value: { lease, failure, retry: false } });
  await builder.hear("accepted");
  await watching;
  assert.is(state, BuildStatus.FAILED);
  assert.match(notices.at(-1) ?? "", /the rest of the log is not available/);

  // It comes back, and so do the logs, although the build is over.
  await fleet.startNats();
  builder.log(lease, 2, "meanwhile");
  while ((await builder.hear("logsAccepted", 20_000)).batch !== 2);
  builder.endLog(lease, 3);
  while ((await builder.hear("logsAccepted", 20_000)).batch !== 3);
  builder.log({ ...lease, attempt: 9 }, 1, "of another");
  assert.is((await builder.hear("lost")).lease?.attempt, 9);
  const lines = await eventually(async () => {
    const texts: string[] = [];
    for await (const { event } of watch(clients, id, true) as AsyncIterable<WatchBuildResponse>) {
      if (event?.$case === "logs") texts.push(...event.value.lines.map(({ text }) => text));
    }
    return texts.includes("before") ? texts : undefined;
  }, 20_000);
  assert.equal(lines, ["before", "meanwhile"]);
  await end();
});

test("NATS loses what it kept: a watch gets the lines that come after", async () => {
  const { clients, id, builder, lease, end } = await startLeased();
  const lines: LogLine[] = [];
  const watching = (async () => {
    for await (const { event } of watch(clients, id, true) as AsyncIterable<WatchBuildResponse>) {
      if (event?.$case === "logs") lines.push(...event.value.lines);
    }
  })();
  // If the test fails before it ends, that is what is told.
  watching.catch(() => undefined);
  for (const batch of [1, 2, 3]) {
    builder.log(lease, batch, `before ${batch}`);
    await builder.hear("logsAccepted");
  }
  await eventually(() => lines.length === 3 || undefined);
  await fleet.loseNats();
  await fleet.startNats();
  builder.log(lease, 4, "after");
  await builder.hear("logsAccepted");
  await eventually(() => lines.some(({ text }) => text === "after") || undefined, 20_000);
  builder.complete(lease);
  await watching;
  const sequences = lines.map(({ sequence }) => sequence);
  assert.equal(
    sequences,
    [...new Set(sequences)].sort((a, b) => a - b),
  );
  assert.is(lines.filter(({ text }) => text === "after").length, 1);
  await end();
});

test.run();
