import { status, type ClientReadableStream } from "@grpc/grpc-js";
import {
  ReplicationState,
  type ReportReplicationRequest,
  type WatchReplicationTargetsResponse,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import {
  applyApplication,
  failure,
  insertBuild,
  startWorld,
  until,
  type Clients,
  type World,
} from "../rollout/world.js";

const { PENDING, COPYING, COMPLETE, FAILED } = ReplicationState;

const test = suite("replication");
let world: World;
let clients: Clients;
let names = 0;
const streams: ClientReadableStream<WatchReplicationTargetsResponse>[] = [];

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({ pollIntervalMs: 300 }));
});

test.after(async () => {
  for (const stream of streams) stream.cancel();
  await world?.stop();
});

/** A succeeded build; a region of its own keeps tests apart. */
async function build(regions: string[]): Promise<string> {
  const application = await applyApplication(clients, `app-${++names}`, regions);
  return (await insertBuild(world.db, application)).digest;
}

function report(request: Partial<ReportReplicationRequest>): Promise<unknown> {
  const { replication } = clients;
  const whole = { region: "", artifactDigest: "", state: PENDING, bytesCopied: 0, message: "" };
  return call(replication, "reportReplication", { ...whole, ...request });
}

async function states(artifactDigest: string): Promise<[string, ReplicationState, number][]> {
  const { replication } = clients;
  const known = await call(replication, "getReplicationStatus", { artifactDigest });
  return known.replications.map(({ region, state, bytesCopied }) => [region, state, bytesCopied]);
}

/** Waits until every build has its rows. */
const planned = (): Promise<unknown> =>
  until("the rows", async () => {
    const [row] = await world.db("unplanned_builds").limit(1);
    return row === undefined;
  });

/** What a region's stream has been told. */
function targets(region: string): string[] {
  const stream = clients.replication.watchReplicationTargets({ region });
  streams.push(stream);
  const told: string[] = [];
  stream.on("data", ({ artifactDigest }: WatchReplicationTargetsResponse) => {
    told.push(artifactDigest);
  });
  stream.on("error", () => undefined);
  return told;
}

test("a build that succeeded gets its rows although nobody said so", async () => {
  const digest = await build(["eu-a", "us-a"]);
  const told = targets("us-a");
  await until("the target", () => told.length > 0);
  assert.equal(told, [digest]);
  assert.equal(await states(digest), [
    ["eu-a", PENDING, 0],
    ["us-a", PENDING, 0],
  ]);
  await planned();
});

test("a region is told of what it lacks, oldest first, then of each new one, once", async () => {
  const old = [await build(["eu-b"]), await build(["eu-b"]), await build(["eu-b"])];
  await planned();
  await report({ region: "eu-b", artifactDigest: old[1] ?? "", state: COMPLETE });
  const told = targets("eu-b");
  await until("the old ones", () => told.length >= 2);
  const fresh = await build(["eu-b"]);
  await until("the new one", () => told.length >= 3);
  await report({ region: "eu-b", artifactDigest: fresh, state: COPYING, bytesCopied: 10 });
  await report({ region: "eu-b", artifactDigest: fresh, state: COPYING, bytesCopied: 20 });
  await report({ region: "eu-b", artifactDigest: fresh, state: COMPLETE });
  const last = await build(["eu-b"]);
  await until("the last one", () => told.length >= 4);
  assert.equal(told, [old[0], old[2], fresh, last]);
});

test("a copy that failed is told of again after a while, one that was lost at once", async () => {
  const digest = await build(["eu-c"]);
  const told = targets("eu-c");
  await until("the target", () => told.length === 1);
  const failedAt = Date.now();
  await report({ region: "eu-c", artifactDigest: digest, state: FAILED, message: "disk\nfull" });
  const { replication } = clients;
  const known = await call(replication, "getReplicationStatus", {
    artifactDigest: digest,
  });
  assert.is(known.replications[0]?.message, "disk full");
  await until("it again", () => told.length === 2);
  assert.ok(Date.now() - failedAt >= 1_500);
  await report({ region: "eu-c", artifactDigest: digest, state: COMPLETE });
  assert.equal(await states(digest), [["eu-c", COMPLETE, 1_000]]);
  await report({ region: "eu-c", artifactDigest: digest, state: COPYING, bytesCopied: 1 });
  assert.equal(await states(digest), [["eu-c", COMPLETE, 1_000]]);
  await report({ region: "eu-c", artifactDigest: digest, state: PENDING });
  await until("it once more", () => told.length === 3);
});

test("rows that were lost with the replication database are made again", async () => {
  const digest = await build(["eu-d", "us-d"]);
  await planned();
  await world.replicationDb("replications").where({ artifact_digest: digest }).delete();
  await report({ region: "us-d", artifactDigest: digest, state: COMPLETE });
  assert.equal(await states(digest), [
    ["eu-d", PENDING, 0],
    ["us-d", COMPLETE, 1_000],
  ]);
});

test("bad reports are refused and change nothing", async () => {
  const digest = await build(["eu-e"]);
  const unknown = `sha256:${"0".repeat(64)}`;
  const cases: [() => Promise<unknown>, status, RegExp][] = [
    [() => report({ region: "eu-e", artifactDigest: unknown }), status.NOT_FOUND, /no artifact/],
    [() => report({ region: "xx", artifactDigest: digest }), status.NOT_FOUND, /no replication/],
    [
      () => report({ region: "", artifactDigest: "sha1:12", state: 0 }),
      status.INVALID_ARGUMENT,
      /region: is missing; artifact_digest: .*; state: /,
    ],
    [() => states(unknown), status.NOT_FOUND, /no artifact/],
    [() => states("x"), status.INVALID_ARGUMENT, /artifact_digest/],
  ];
  for (const [attempt, code, details] of cases) {
    const refused = await failure(attempt());
    assert.is(refused.code, code);
    assert.match(refused.details, details);
  }
  assert.equal(await states(digest), [["eu-e", PENDING, 0]]);
});

test.run();
