import { credentials, status, type ServiceError } from "@grpc/grpc-js";
import {
  BuildFailureReason,
  BuildStatus,
  getErrorDetails,
  LogSource,
  MembershipServiceClient,
  requestOf,
  WorkAccepted_Kind,
  WorkLost_Reason,
  type Build,
  type Lease,
  type LogLine,
  WatchBuildRequest,
  WORK_MESSAGES_MAX,
  type WatchBuildResponse,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Coordinator } from "../../src/index.js";
import { call } from "../call.js";
import { artifactOf, connectTo, startFleet, TestBuilder, type TestFleet } from "../fleet.js";
import { eventually, goodSpec, sha } from "../postgres.js";

const test = suite("builds over gRPC");
let fleet: TestFleet;
let coordinator: Coordinator;
let other: Coordinator;
let clients: ReturnType<typeof connectTo>;
let otherClients: ReturnType<typeof connectTo>;

test.before(async () => {
  fleet = await startFleet();
  [coordinator, other] = await Promise.all([fleet.start(), fleet.start()]);
  clients = connectTo(coordinator);
  otherClients = connectTo(other);
  const { applications } = clients;
  for (const name of ["shop", "till"]) {
    const request = { name, spec: goodSpec(), expectedRevision: 0, actor: "", reason: "" };
    await call(applications, "applyApplication", request);
  }
});
test.after(async () => {
  clients.close();
  otherClients.close();
  await fleet.close();
});

let commits = 0;
const submit = (change: Record<string, string> = {}) => {
  commits += 1;
  const request = {
    application: "shop",
    commitSha: sha(commits),
    idempotencyKey: "",
    submitter: "ann",
    ...change,
  };
  return call(clients.builds, "submitBuild", request);
};
const submitted = async (): Promise<Build> => {
  const { build } = await submit();
  if (build === undefined) throw new Error("no build was answered");
  return build;
};
const read = async (id: string): Promise<Build> => {
  const { build } = await call(clients.builds, "getBuild", { id });
  if (build === undefined) throw new Error("no build was answered");
  return build;
};
const failure = async (promise: Promise<unknown>): Promise<ServiceError> => {
  try {
    await promise;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error("the call succeeded");
};
interface Watched {
  builds: Build[];
  lines: LogLine[];
  order: string[];
}
/** Everything that a watch says until it ends. */
const watched = async (
  request: Partial<WatchBuildRequest> & { id: string },
  { builds } = clients,
  all: Watched = { builds: [], lines: [], order: [] },
): Promise<Watched> => {
  const stream = builds.watchBuild(WatchBuildRequest.fromPartial(request), {
    deadline: Date.now() + 20_000,
  });
  for await (const { event } of stream as AsyncIterable<WatchBuildResponse>) {
    all.order.push(event?.$case === "build" ? BuildStatus[event.value.status] : "lines");
    if (event?.$case === "build") all.builds.push(event.value);
    if (event?.$case === "logs") all.lines.push(...event.value.lines);
  }
  return all;
};
/** Takes builds away from the other tests. */
const leased = async (builder: TestBuilder, buildId: string): Promise<Lease> => {
  const { lease } = await builder.hear("leased");
  if (lease === undefined) throw new Error("no lease was said");
  assert.is(lease.buildId, buildId);
  return lease;
};

test("submitted, leased, logged, completed; the watch tells all of it and ends", async () => {
  const builder = new TestBuilder(clients.builders);
  const build = await submitted();
  assert.is(build.status, BuildStatus.QUEUED);
  assert.equal(build.submitters, ["ann"]);
  // A watcher of the other coordinator learns as much.
  const said: Watched[] = [1, 2].map(() => ({ builds: [], lines: [], order: [] }));
  const watches = Promise.all(
    said.map((all, index) =>
      watched({ id: build.id, logs: true }, index === 0 ? clients : otherClients, all),
    ),
  );
  // If the test fails before they end, that is what is told.
  watches.catch(() => undefined);
  await eventually(() => said.every(({ order }) => order.length > 0) || undefined);
  await builder.hello("b1", 1);
  const { lease, ...work } = await builder.hear("leased");
  assert.equal(lease, { buildId: build.id, attempt: 1 });
  if (lease === undefined) throw new Error("no lease was said");
  assert.is(work.commitSha, build.commitSha);
  assert.equal(work.build?.command, ["make"]);
  assert.is(work.source?.trunk, "main");
  builder.log(lease, 1, "fetching", "building");
  builder.log(lease, 2, "ein Gruß\u001b[0m", "x".repeat(40_000), "");
  assert.is((await builder.hear("logsAccepted")).batch, 1);
  assert.is((await builder.hear("logsAccepted")).batch, 2);
  // Said again after a lost answer: kept once.
  builder.log(lease, 2, "ein Gruß\u001b[0m", "x".repeat(40_000), "");
  await builder.hear("logsAccepted");
  builder.endLog(lease, 3);
  await builder.hear("logsAccepted");
  builder.say({ $case: "heartbeat", value: { leases: [lease] } });
  assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.HEARTBEAT);
  builder.complete(lease);
  assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.COMPLETE);

  for (const watch of await watches) {
    const texts = watch.lines.map(({ text }) => text);
    const long = ["x".repeat(16_384), "x".repeat(16_384), "x".repeat(40_000 - 32_768)];
    assert.equal(texts, ["fetching", "building", "ein Gruß\u001b[0m", ...long, ""]);
    const sequences = watch.lines.map(({ sequence }) => sequence);
    assert.equal(
      sequences,
      [...new Set(sequences)].sort((a, b) => a - b),
    );
    assert.ok((sequences[0] ?? 0) > 0);
    assert.is(watch.order.at(-1), "SUCCEEDED");
    assert.is(watch.order.filter((event) => event === "SUCCEEDED").length, 1);
    assert.is(watch.builds[0]?.status, BuildStatus.QUEUED);
    assert.is(watch.builds.at(-1)?.artifact?.sizeBytes, 1_000);
  }
  // Resumed after a line, also when it is over.
  const all = await watched({ id: build.id, logs: true });
  assert.is(all.order.length, 2);
  const resumed = await watched({
    id: build.id,
    logs: true,
    afterLogSequence: all.lines[2]?.sequence ?? 0,
  });
  assert.equal(resumed.lines, all.lines.slice(3));
  // Its own completion is no lost lease.
  assert.equal(builder.unheard, []);
  builder.end();
  assert.is(await builder.ended(), undefined);
});

test("a failure says why, with its exit code", async () => {
  const builder = new TestBuilder(clients.builders);
  const { id } = await submitted();
  await builder.hello("b1", 1);
  const lease = await leased(builder, id);
  const reason = BuildFailureReason.COMMAND_FAILED;
  const message = `make: exit 2\0${"!".repeat(20_000)}`;
  builder.say({
    $case: "fail",
    value: { lease, failure: { reason, message, exitCode: 2 }, retry: false },
  });
  assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.FAIL);
  const { failure, status: state } = await read(id);
  assert.is(state, BuildStatus.FAILED);
  assert.equal([failure?.reason, failure?.exitCode], [reason, 2]);
  assert.ok((failure?.message.length ?? 0) < 9_000);
  builder.cut();
});

test("joined, detached, and cancelled by the last: the builder is told at once", async () => {
  // The builder is at the other coordinator.
  const builder = new TestBuilder(otherClients.builders);
  const first = await submit();
  const id = first.build?.id ?? "";
  const second = await submit({ commitSha: sha(commits), submitter: "bob" });
  assert.equal([second.build?.id, second.merged, first.merged], [id, true, false]);
  assert.equal(second.build?.submitters, ["ann", "bob"]);
  await builder.hello("b1", 1);
  const lease = await leased(builder, id);
  const { builds } = clients;
  const watch = watched({ id });
  const one = { id, submissionId: first.submissionId, actor: "ann", reason: "" };
  const detached = await call(builds, "cancelBuild", one);
  assert.is(detached.build?.status, BuildStatus.RUNNING);
  assert.equal(detached.build?.submitters, ["bob"]);
  const last = { id, submissionId: second.submissionId, actor: "bob", reason: "not needed" };
  const cancelled = await call(builds, "cancelBuild", last);
  assert.is(cancelled.build?.failure?.reason, BuildFailureReason.CANCELLED);
  const lost = await builder.hear("lost", 3_000);
  assert.equal(lost, { lease, reason: WorkLost_Reason.CANCELLED, message: "" });
  assert.is((await watch).order.at(-1), "FAILED");
  builder.complete(lease);
  assert.is((await builder.hear("lost")).reason, WorkLost_Reason.CANCELLED);
  const again = await failure(call(builds, "cancelBuild", last));
  assert.is(again.code, status.FAILED_PRECONDITION);
  builder.cut();
});

test("an idempotency key", async () => {
  const first = await submit({ idempotencyKey: "release-7" });
  const again = await submit({ idempotencyKey: "release-7", commitSha: sha(commits) });
  assert.equal([again.submissionId, again.merged], [first.submissionId, true]);
  const reused = await failure(submit({ idempotencyKey: "release-7" }));
  assert.is(reused.code, status.ALREADY_EXISTS);
  assert.is(getErrorDetails(reused.metadata)?.reason, "IDEMPOTENCY_KEY_REUSED");
  const { builds } = clients;
  await call(builds, "cancelBuild", {
    id: first.build?.id ?? "",
    submissionId: "",
    actor: "",
    reason: "",
  });
});

test("a lease goes on over another stream of the same builder, and the older stream ends", async () => {
  const old = new TestBuilder(clients.builders);
  const { id } = await submitted();
  await old.hello("b1", 1);
  const lease = await leased(old, id);
  const builder = new TestBuilder(clients.builders);
  await builder.hello("b1", 0);
  assert.is(((await old.ended()) as ServiceError).code, status.ABORTED);
  builder.say({ $case: "heartbeat", value: { leases: [lease] } });
  assert.equal((await builder.hear("accepted")).leases, [lease]);
  const stranger = new TestBuilder(otherClients.builders);
  await stranger.hello("b2", 0);
  stranger.complete(lease, "f");
  assert.is((await stranger.hear("lost")).reason, WorkLost_Reason.UNKNOWN);
  stranger.log(lease, 1, "not mine");
  assert.is((await stranger.hear("lost")).reason, WorkLost_Reason.UNKNOWN);
  builder.complete(lease);
  assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.COMPLETE);
  // Its answer was lost, so it says it again on yet another stream.
  const third = new TestBuilder(otherClients.builders);
  await third.hello("b1", 0);
  third.complete(lease);
  assert.is((await third.hear("accepted")).kind, WorkAccepted_Kind.COMPLETE);
  for (const one of [builder, stranger, third]) one.cut();
});

test("bad input has its code, its fields and no effect", async () => {
  const { builds } = clients;
  const id = "00000000-0000-7000-8000-000000000000";
  const list = { application: "", status: 0, commitSha: "", pageSize: 0, pageToken: "" };
  const table: [() => Promise<unknown>, status, string][] = [
    [() => submit({ application: "none" }), status.NOT_FOUND, ""],
    [() => submit({ application: "No/ne" }), status.INVALID_ARGUMENT, "application"],
    [() => submit({ commitSha: "" }), status.INVALID_ARGUMENT, "commit_sha"],
    [() => submit({ commitSha: "abc123" }), status.INVALID_ARGUMENT, "commit_sha"],
    [() => submit({ commitSha: "--upload-pack=x" }), status.INVALID_ARGUMENT, "commit_sha"],
    [() => submit({ commitSha: "a".repeat(1_000_000) }), status.INVALID_ARGUMENT, "commit_sha"],
    [() => submit({ idempotencyKey: "k".repeat(256) }), status.INVALID_ARGUMENT, "idempotency_key"],
    [() => submit({ submitter: "a\0b" }), status.INVALID_ARGUMENT, "submitter"],
    [() => call(builds, "getBuild", { id }), status.NOT_FOUND, ""],
    [() => call(builds, "getBuild", { id: "7" }), status.INVALID_ARGUMENT, "id"],
    [
      () => call(builds, "cancelBuild", { id, submissionId: "", actor: "", reason: "" }),
      status.NOT_FOUND,
      "",
    ],
    [
      () => call(builds, "cancelBuild", { id, submissionId: "x", actor: "", reason: "" }),
      3,
      "submission_id",
    ],
    [() => call(builds, "listBuilds", { ...list, pageSize: 1_001 }), 3, "page_size"],
    [() => call(builds, "listBuilds", { ...list, pageToken: "x" }), 3, "page_token"],
    [() => call(builds, "listBuilds", { ...list, status: 99 as BuildStatus }), 3, "status"],
    [() => call(builds, "listBuilds", { ...list, commitSha: "ab" }), 3, "commit_sha"],
    [() => watched({ id }), status.NOT_FOUND, ""],
    [() => watched({ id: "" }), status.INVALID_ARGUMENT, "id"],
  ];
  const before = await call(builds, "listBuilds", list);
  for (const [attempt, code, field] of table) {
    const error = await failure(attempt());
    assert.is(error.code, code, `${field}: ${error.details}`);
    const [violation] = getErrorDetails(error.metadata)?.violations ?? [];
    assert.is(violation?.field ?? "", field);
  }
  const huge = await failure(submit({ submitter: "a".repeat(5 * 1024 * 1024) }));
  assert.is(huge.code, status.RESOURCE_EXHAUSTED);
  assert.equal(await call(builds, "listBuilds", list), before);
});

test("a lease and a free slot that cross on the way are one build, not two", async () => {
  const busy = new TestBuilder(clients.builders);
  await busy.hello("b-busy", 1);
  const first = await submitted();
  const lease = await leased(busy, first.id);
  // As if it had not seen the lease yet: its one slot is taken all the same.
  busy.ready(1, 0);
  const idle = new TestBuilder(clients.builders);
  await idle.hello("b-idle", 1);
  const second = await submitted();
  idle.complete(await leased(idle, second.id));
  busy.complete(lease);
  await Promise.all([busy.hear("accepted"), idle.hear("accepted")]);
  busy.ready(1, 1);
  const third = await submitted();
  busy.complete(await leased(busy, third.id));
  await busy.hear("accepted");
  busy.cut();
  idle.cut();
});

test("several messages as one, both ways, for those who take them alone", async () => {
  for (const takesSeveral of [true, false]) {
    const [first, second] = [await submitted(), await submitted()];
    const builder = new TestBuilder(clients.builders);
    await builder.hello(`several-${takesSeveral}`, 1, { takesSeveral });
    const lease = await leased(builder, first.id);
    const complete = { lease, artifact: artifactOf("a"), provenance: Buffer.alloc(0) };
    const readiness = { freeSlots: 1, leasesReceived: 1 };
    builder.say({ $case: "heartbeat", value: { leases: [lease] } });
    assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.HEARTBEAT);
    builder.say(
      requestOf([
        { $case: "complete", value: complete },
        { $case: "ready", value: readiness },
      ]).message,
    );
    assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.COMPLETE);
    const next = await leased(builder, second.id);
    assert.is((await read(first.id)).status, BuildStatus.SUCCEEDED);
    // None follows that it could go with.
    builder.complete(next);
    assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.COMPLETE);
    assert.ok(
      takesSeveral || builder.mostAtOnce === 1,
      "said one by one to whoever knows no other",
    );
    builder.cut();
  }
});

const ready = (freeSlots: number) =>
  ({ $case: "ready", value: { freeSlots, leasesReceived: 0 } }) as const;

test("a builder that does not keep to the protocol loses its stream alone", async () => {
  const lease = { buildId: "00000000-0000-7000-8000-000000000000", attempt: 1 };
  const about = {
    builderId: "b7",
    platform: "linux/x64",
    signsProvenance: false,
    process: undefined,
    takesSeveral: false,
  };
  const hello = { $case: "hello", value: about } as const;
  const nothing = { lease, artifact: undefined, provenance: Buffer.alloc(0) };
  const complete = { $case: "complete", value: nothing } as const;
  const going = { last: false, givenUp: false };
  const many = Array.from({ length: WORK_MESSAGES_MAX + 1 }, () => ({ message: ready(0) }));
  const table: Parameters<TestBuilder["say"]>[0][][] = [
    [ready(1)],
    [hello, hello],
    [{ $case: "hello", value: { ...about, builderId: "../b7" } }],
    [{ $case: "hello", value: { ...about, platform: "" } }],
    [hello, ready(1_000_000)],
    [hello, { $case: "heartbeat", value: { leases: [{ buildId: "x", attempt: 1 }] } }],
    [hello, { $case: "heartbeat", value: { leases: [{ ...lease, attempt: 0 }] } }],
    [hello, { $case: "logs", value: { lease, lines: [], ...going, batch: 0 } }],
    [hello, { $case: "logs", value: { lease: undefined, lines: [], ...going, batch: 1 } }],
    [hello, complete],
    [hello, { $case: "fail", value: { lease, failure: undefined, retry: false } }],
    [hello, { $case: "several", value: { requests: [] } }],
    [hello, { $case: "several", value: { requests: [{ message: undefined }] } }],
    [
      hello,
      { $case: "several", value: { requests: [{ message: ready(1) }, { message: complete }] } },
    ],
    [hello, { $case: "several", value: { requests: many } }],
  ];
  for (const [index, messages] of table.entries()) {
    const builder = new TestBuilder(clients.builders);
    for (const message of messages) builder.say(message);
    const error = (await builder.ended()) as ServiceError | undefined;
    assert.is(error?.code, status.INVALID_ARGUMENT, `row ${index}: ${error?.message}`);
  }
});

test("lists newest first, page by page, by application, status and commit", async () => {
  const { builds } = clients;
  const mine: string[] = [];
  for (let number = 0; number < 5; number += 1) {
    const { build } = await submit({ application: "till" });
    mine.unshift(build?.id ?? "");
  }
  const seen: string[] = [];
  let pageToken = "";
  do {
    const request = { application: "till", status: 1, commitSha: "", pageSize: 2, pageToken };
    const page = await call(builds, "listBuilds", request);
    seen.push(...page.builds.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.equal(seen, mine);
  const one = { application: "", status: 0, commitSha: sha(commits), pageSize: 0, pageToken: "" };
  const byCommit = await call(builds, "listBuilds", one);
  assert.equal(
    byCommit.builds.map(({ id }) => id),
    [mine[0]],
  );
  for (const id of mine)
    await call(builds, "cancelBuild", { id, submissionId: "", actor: "", reason: "" });
});

test("a batch of many lines is kept whole and in order", async () => {
  const builder = new TestBuilder(clients.builders);
  const { id } = await submitted();
  await builder.hello("b1", 1);
  const lease = await leased(builder, id);
  const watch = watched({ id, logs: true });
  const source = LogSource.STDERR;
  const lines = Array.from({ length: 3_000 }, (_, number) => ({
    time: undefined,
    source,
    text: `line ${number}`,
  }));
  builder.say({ $case: "logs", value: { lease, batch: 1, lines, last: true, givenUp: false } });
  await builder.hear("logsAccepted");
  builder.complete(lease);
  const { lines: kept } = await watch;
  const caughtUp = await watched({ id, logs: true, untilCaughtUp: true });
  assert.equal(caughtUp.lines, kept);
  assert.equal(
    kept.map(({ text }) => text),
    lines.map(({ text }) => text),
  );
  assert.ok(kept.every(({ attempt, source: from }) => attempt === 1 && from === source));
  builder.cut();
});

test("a watch until caught up has every line kept by then, and does not wait", async () => {
  const builder = new TestBuilder(clients.builders);
  const { id } = await submitted();
  const untilCaughtUp = { id, logs: true, untilDeployable: true, untilCaughtUp: true };
  const queued = await watched(untilCaughtUp);
  assert.equal(queued.order, ["QUEUED"]);
  await builder.hello("b1", 1);
  const lease = await leased(builder, id);
  builder.log(lease, 1, "fetching");
  builder.log(lease, 2, "building");
  await builder.hear("logsAccepted");
  await builder.hear("logsAccepted");
  // Of either coordinator, however young the lines.
  for (const from of [clients, otherClients]) {
    const { lines, order } = await watched(untilCaughtUp, from);
    const texts = lines.map(({ text }) => text);
    assert.equal(texts, ["fetching", "building"]);
    assert.is(order.at(-1), "RUNNING");
    const afterLogSequence = lines[0]?.sequence ?? 0;
    const rest = await watched({ ...untilCaughtUp, afterLogSequence }, from);
    assert.equal(rest.lines, lines.slice(1));
  }
  builder.complete(lease);
  await builder.hear("accepted");
  assert.is((await watched({ id, untilCaughtUp: true })).order.at(-1), "SUCCEEDED");
  builder.cut();
});

test("a builder that is revoked gets no more builds, wherever it comes back", async () => {
  const members = new MembershipServiceClient(other.address, credentials.createInsecure());
  const builder = new TestBuilder(clients.builders);
  await builder.hello("thief", 0);
  const revocation = { actor: "ann", reason: "stolen", allowMissing: true };
  await call(members, "revokeMember", { id: "thief", ...revocation });
  const first = await builder.ended();
  const { id } = await submitted();
  const back = new TestBuilder(otherClients.builders);
  back.say({
    $case: "hello",
    value: {
      builderId: "thief",
      platform: "linux/x64",
      signsProvenance: false,
      process: undefined,
      takesSeveral: false,
    },
  });
  back.ready(1, 0);
  for (const end of [first, await back.ended()]) {
    const { code, details, metadata } = end as ServiceError;
    assert.is(code, status.PERMISSION_DENIED);
    assert.match(details, /builder thief was revoked, which is for good/);
    assert.is(getErrorDetails(metadata)?.reason, "MEMBER_REVOKED");
  }
  assert.is((await read(id)).status, BuildStatus.QUEUED);
  const honest = new TestBuilder(clients.builders);
  // Not waiting until it is welcome.
  honest.say({
    $case: "hello",
    value: {
      builderId: "honest",
      platform: "linux/x64",
      signsProvenance: false,
      process: undefined,
      takesSeveral: false,
    },
  });
  honest.ready(1, 0);
  const lease = await leased(honest, id);
  honest.complete(lease);
  await honest.hear("accepted");
  honest.end();
  members.close();
});

test.run();
