import { credentials } from "@grpc/grpc-js";
import { FleetServiceClient, Goal, HostStatus } from "@slipway/proto";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CoordinatorReach } from "../../src/coordinator/coordinator-reach.js";
import { Enroller } from "../../src/region/enroller.js";
import { HostTable } from "../../src/region/host-table.js";
import { RegionCounts } from "../../src/region/region-counts.js";
import { eventually, log } from "../host/fixtures.js";
import { FakeCoordinator } from "./fake-coordinator.js";

const test = suite("enrolling hosts");
let coordinator: FakeCoordinator;
let client: FleetServiceClient;
const stops: (() => Promise<void>)[] = [];

test.before.each(async () => {
  coordinator = new FakeCoordinator();
  const port = await freePort();
  await coordinator.start(port);
  client = new FleetServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
});
test.after.each(async () => {
  for (const stop of stops.splice(0)) await stop();
  client.close();
  coordinator.stop();
});

function start(leaderTerm: () => number): { table: HostTable; enroller: Enroller } {
  const table = new HostTable("eu");
  const reach = new CoordinatorReach(log);
  const options = { client, region: "eu", table, leaderTerm, reach, log, refreshMs: 20 };
  const enroller = new Enroller(options);
  enroller.start();
  stops.push(() => enroller.stop());
  return { table, enroller };
}

function hear(table: HostTable, hostId: string, labels: Record<string, string> = {}): void {
  const status = HostStatus.fromPartial({ hostId, region: "eu", cell: "c", labels });
  table.hear(hostId, HostStatus.encode(status).finish(), performance.now());
}

const hosts = (table: HostTable): string =>
  [...table.enrolled()].map(({ enrolment }) => enrolment.hostId).join(" ");

test("only who leads enrols, and knows the hosts once it has read them as such", async () => {
  let term = 0;
  const { table, enroller } = start(() => term);
  await eventually("the hosts to be read", () => enroller.known);
  hear(table, "h1");
  coordinator.enrolled.set("h2", { hostId: "h2", region: "eu", cell: "c", labels: {} });
  await eventually("what is enrolled elsewhere", () => hosts(table) === "h2");
  assert.equal(coordinator.enrolments, []);
  term = 7;
  assert.not(enroller.known);
  await eventually("the new host", () => hosts(table) === "h1 h2");
  assert.ok(enroller.known);
  assert.equal(coordinator.enrolments, ["h1"]);
});

test("hosts taken out of the fleet are not counted, and not enrolled again", async () => {
  const { table } = start(() => 1);
  const goal = Goal.fromPartial({ application: "web", generation: 1, bucketLimit: 10_000 });
  const counts = new RegionCounts(table);
  const counted = (): number => counts.of(goal).aggregate().hostCount;
  assert.is(counted(), 0);
  hear(table, "h1");
  hear(table, "h2");
  await eventually("both to be counted", () => counted() === 2);
  coordinator.decommissioned.add("h1");
  coordinator.enrolled.delete("h1");
  await eventually("it to be counted no more", () => counted() === 1);
  hear(table, "h1");
  await eventually("it to be refused", () => {
    hear(table, "h1");
    return table.stats.decommissioned > 0;
  });
  assert.is(hosts(table), "h2");
  assert.is(coordinator.enrolments.filter((host) => host === "h1").length, 2);
});

test("other labels count at once, and are enrolled", async () => {
  const { table } = start(() => 1);
  const goal = Goal.fromPartial({ application: "web", generation: 1, selector: { tier: "web" } });
  const counts = new RegionCounts(table);
  hear(table, "h1", { tier: "web" });
  await eventually("it to be counted", () => counts.of(goal).aggregate().hostCount === 1);
  hear(table, "h1", { tier: "db" });
  assert.is(counts.of(goal).aggregate().hostCount, 0);
  await eventually(
    "it to be persisted",
    () => coordinator.enrolled.get("h1")?.labels["tier"] === "db",
  );
  assert.is(counts.of(goal).aggregate().hostCount, 0);
});

test.run();
