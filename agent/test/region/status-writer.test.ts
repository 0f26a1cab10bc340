import { RegionAgentStatus, regionAgentKey, STATUS_BUCKET } from "@slipway/proto";
import { startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Refusal } from "../../src/coordinator/token-standing.js";
import { NatsLink } from "../../src/nats/link.js";
import { thisProcess } from "../../src/process/this-process.js";
import { TwinAlarm } from "../../src/process/twin-alarm.js";
import { HostTable } from "../../src/region/host-table.js";
import { StatusWriter } from "../../src/region/status-writer.js";
import { eventually, log } from "../host/fixtures.js";

const region = "eu";
const agentId = "eu-1";
const test = suite("an agent's sign of life");
let nats: NatsServer;
let regional: NatsServer;
let connection: NatsConnection;
let statuses: KV;
let refusal: Refusal | undefined;
let coordinatorAwaySince: Date | undefined;
const stops: (() => Promise<void>)[] = [];

test.before(async () => {
  [nats, regional] = await Promise.all([startNats(), startNats()]);
  connection = await connect({ servers: nats.url });
  statuses = await connection.jetstream().views.kv(STATUS_BUCKET, { history: 1 });
  const links = [nats, regional].map(({ url }) => new NatsLink({ servers: [url], name: url, log }));
  const [link, regionLink] = links as [NatsLink, NatsLink];
  const self = thisProcess();
  const writer = new StatusWriter({
    link,
    regionLink,
    refusal: () => refusal,
    coordinatorAwaySince: () => coordinatorAwaySince,
    region,
    agentId,
    table: new HostTable(region),
    goals: () => new Map(),
    leaderTerm: () => 0,
    keySetVersion: () => 0,
    self,
    alarm: new TwinAlarm(self, log),
    twinHosts: () => 0,
    enrolmentKnown: () => true,
    log,
  });
  writer.start();
  link.start();
  regionLink.start();
  stops.push(
    () => writer.stop(),
    () => link.stop(),
    () => regionLink.stop(),
  );
});

test.after(async () => {
  for (const stop of stops.splice(0)) await stop();
  await connection?.close();
  await nats?.stop();
  await regional?.stop();
});

async function said(): Promise<RegionAgentStatus | undefined> {
  const entry = await statuses.get(regionAgentKey(region, agentId));
  return entry === null ? undefined : RegionAgentStatus.decode(entry.value);
}

test("it says since when the region's own NATS is away, and that it is back", async () => {
  const well = await eventually("a sign of life", async () => {
    const status = await said();
    return status !== undefined && status.regionNatsAwaySince === undefined && status;
  });
  const before = Date.now();
  const { port } = regional;
  await regional.stop();
  const away = await eventually("that its NATS is away", async () => {
    const status = await said();
    return status?.regionNatsAwaySince !== undefined && status;
  });
  const since = Number(away.regionNatsAwaySince);
  assert.ok(since >= before && since <= Number(away.time), "since it went");
  assert.ok(Number(away.time) > Number(well.time), "over the global one");
  const later = await eventually("another sign of life", async () => {
    const status = await said();
    return Number(status?.time) > Number(away.time) && status;
  });
  assert.is(Number(later.regionNatsAwaySince), since, "the time stays");
  regional = await startNats({ port });
  await eventually("that it is back", async () => {
    return (await said())?.regionNatsAwaySince === undefined;
  });
});

test("it says that coordinators do not let it in, and why", async () => {
  refusal = { since: new Date(1_700_000_000_000), message: "the token was revoked" };
  const refused = await eventually("that it is not let in", async () => {
    const status = await said();
    return status?.coordinatorRefusedSince !== undefined && status;
  });
  assert.equal(refused.coordinatorRefusedSince, refusal.since);
  assert.is(refused.coordinatorRefusal, refusal.message);
  refusal = undefined;
  await eventually("that it is", async () => {
    return (await said())?.coordinatorRefusedSince === undefined;
  });
});

test("it says since when no coordinator can be reached", async () => {
  const since = new Date(1_700_000_000_000);
  coordinatorAwaySince = since;
  await eventually("that none can", async () => {
    return Number((await said())?.coordinatorAwaySince) === Number(since);
  });
  coordinatorAwaySince = undefined;
  await eventually("that one can", async () => {
    const status = await said();
    return status !== undefined && status.coordinatorAwaySince === undefined;
  });
});

test.run();
