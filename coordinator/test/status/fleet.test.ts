import { status } from "@grpc/grpc-js";
import {
  EnrolledHost,
  HostQuery,
  HostQueryReply,
  hostQuerySubject,
  type ListHostsRequest,
  type ListHostsResponse,
  RegionAgentStatus,
  regionAgentKey,
  STATUS_BUCKET,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeRegion } from "../rollout/fake-region.js";
import { call } from "../call.js";
import {
  applyApplication,
  failure,
  startWorld,
  until,
  type Clients,
  type World,
} from "../rollout/world.js";

const test = suite("fleet");
let world: World;
let clients: Clients;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator());
});

test.after(() => world?.stop());

const host = (hostId: string, region: string, labels: Record<string, string> = {}): EnrolledHost =>
  EnrolledHost.fromPartial({ hostId, region, cell: "c1", labels });

const enrol = (hosts: EnrolledHost[]): Promise<unknown> =>
  call(clients.fleet, "enrolHosts", { hosts });

function list(request: Partial<ListHostsRequest> = {}): Promise<ListHostsResponse> {
  const { fleet } = clients;
  const whole = { region: "", application: "", pageSize: 0, pageToken: "", ...request };
  return call(fleet, "listHosts", whole);
}

/** Answers host queries of a region as its agent would; hosts in `unheard` are left out. */
function answer(region: string, unheard: readonly string[] = [], time = new Date()): () => void {
  const subscription = world.nats.subscribe(hostQuerySubject(region), {
    callback: (_, message) => {
      const { hostIds } = HostQuery.decode(message.data);
      const hosts = hostIds
        .filter((hostId) => !unheard.includes(hostId))
        .map((hostId) => ({ hostId, region, agentVersion: "1.2.3", time }));
      message.respond(HostQueryReply.encode(HostQueryReply.fromPartial({ hosts })).finish());
    },
  });
  return () => subscription.unsubscribe();
}

const rows = (): Promise<{ host_id: string; update_time: Date }[]> =>
  world.db("hosts").orderBy("host_id");

test("hosts are enrolled once, change when they differ, and come back in pages", async () => {
  await enrol([host("h2", "eu"), host("h1", "eu", { tier: "web" }), host("h3", "us")]);
  const before = await rows();
  await enrol([host("h1", "eu", { tier: "web" }), host("h2", "eu", { tier: "db" })]);
  const after = await rows();
  const changed = after.filter((row, n) => row.update_time > (before[n]?.update_time ?? 0));
  assert.equal(
    changed.map((row) => row.host_id),
    ["h2"],
  );

  const { fleet } = clients;
  const page = { region: "eu", pageSize: 1, pageToken: "" };
  const one = await call(fleet, "listEnrolledHosts", page);
  const two = await call(fleet, "listEnrolledHosts", { ...page, pageToken: one.nextPageToken });
  assert.equal(
    [...one.hosts, ...two.hosts],
    [host("h1", "eu", { tier: "web" }), host("h2", "eu", { tier: "db" })],
  );
});

test("hosts are listed with what their region says, and silent regions are named", async () => {
  const stop = answer("eu", ["h2"]);
  await world.nats.flush();
  const { hosts, unreachableRegions } = await list();
  stop();
  assert.equal(unreachableRegions, ["us"]);
  assert.equal(
    hosts.map(({ enrolment, status: said, silent }) => [
      enrolment?.hostId,
      said?.agentVersion,
      silent,
    ]),
    [
      ["h1", "1.2.3", false],
      ["h2", undefined, true],
      ["h3", undefined, false],
    ],
  );
});

test("while the NATS hangs no region is blamed that no host is heard, from the first second on", async () => {
  assert.is((await list()).unheardSince, undefined);
  const before = Date.now();
  world.natsServer.signal("SIGSTOP");
  try {
    const { hosts, unheardSince } = await list();
    assert.is(hosts.length, 3);
    assert.ok(unheardSince !== undefined && Number(unheardSince) < before + 1_000);
  } finally {
    world.natsServer.signal("SIGCONT");
  }
  await until("it to be heard again", async () => (await list()).unheardSince === undefined);
});

test("a host that was last heard of long ago is silent", async () => {
  const stop = answer("eu", [], new Date(Date.now() - 31_000));
  await world.nats.flush();
  const { hosts } = await list({ region: "eu", pageSize: 1 });
  stop();
  assert.equal([hosts[0]?.status?.hostId, hosts[0]?.silent], ["h1", true]);
});

test("hosts of an application are those that its selector takes, in pages", async () => {
  await applyApplication(clients, "web", ["eu", "us"], { selector: { tier: "web" } });
  await enrol([host("h4", "us", { tier: "web", rack: "7" }), host("h5", "ap", { tier: "web" })]);
  const one = await list({ application: "web", pageSize: 1 });
  const two = await list({ application: "web", pageSize: 1, pageToken: one.nextPageToken });
  const ids = [...one.hosts, ...two.hosts].map(({ enrolment }) => enrolment?.hostId);
  assert.equal(ids, ["h1", "h4"]);
});

test("of a region that nobody knows there is no list", async () => {
  const refused = await failure(list({ region: "mars" }));
  assert.equal([refused.code, refused.details], [status.NOT_FOUND, 'there is no region "mars"']);
});

test("regions are those of applications, hosts and agents", async () => {
  await applyApplication(clients, "api", ["sa"]);
  const agent = await FakeRegion.start(world.nats, "af");
  const regions = await until("the agent's region", async () => {
    const { regions } = await call(clients.fleet, "listRegions", {});
    return regions.some(({ name }) => name === "af") && regions;
  });
  agent.stop();
  assert.equal(
    regions.map(({ name, enrolledHostCount, silent, agents }) => [
      name,
      enrolledHostCount,
      silent,
      agents.map(({ agentId }) => agentId),
    ]),
    [
      ["af", 0, false, ["af-1"]],
      ["ap", 1, true, []],
      ["eu", 2, true, []],
      ["sa", 0, true, []],
      ["us", 2, true, []],
    ],
  );
});

test("a region whose NATS is away says so, and its hosts are not blamed", async () => {
  const agent = await FakeRegion.start(world.nats, "eu");
  const stop = answer("eu", [], new Date(Date.now() - 60_000));
  const since = new Date(Date.now() - 50_000);
  await agent.natsAway(since);
  const eu = await until("what the agent says", async () => {
    const { regions } = await call(clients.fleet, "listRegions", {});
    return regions.find(({ natsAwaySince }) => natsAwaySince !== undefined);
  });
  assert.equal([eu.name, eu.silent, eu.agents.length], ["eu", true, 1]);
  assert.equal(eu.natsAwaySince, since);
  const { hosts, natsAwaySince } = await list();
  assert.equal(natsAwaySince, { eu: since });
  assert.ok(hosts.some(({ enrolment, silent }) => enrolment?.region === "eu" && silent));
  await agent.natsAway(undefined);
  await until("that it is back", async () => {
    const page = await list();
    return Object.keys(page.natsAwaySince).length === 0;
  });
  stop();
  agent.stop();
});

test("bad hosts and tokens are refused by field, and nothing is enrolled", async () => {
  const before = await world.db("hosts").count();
  const many = Array.from({ length: 1_001 }, (_, n) => host(`x${n}`, "eu"));
  const bad = host("Not A Host", "eu", { "": "x" });
  const cases: [() => Promise<unknown>, RegExp][] = [
    [() => enrol(many), /^hosts: must be at most 1000/],
    [() => enrol([host("ok", "eu"), bad]), /hosts\[1\]\.host_id: .*; hosts\[1\]\.labels\[""\]/],
    [() => enrol([host("ok", "eu"), host("ok", "us")]), /hosts\[1\]\.host_id: is there twice/],
    [() => list({ pageToken: "nonsense" }), /page_token/],
    [() => list({ pageSize: 1_001 }), /page_size/],
    [() => list({ region: "../x" }), /region/],
  ];
  for (const [attempt, details] of cases) {
    const refused = await failure(attempt());
    assert.is(refused.code, status.INVALID_ARGUMENT);
    assert.match(refused.details, details);
    assert.ok((refused.violations ?? []).length > 0);
  }
  assert.is((await failure(list({ application: "unknown" }))).code, status.NOT_FOUND);
  assert.equal(await world.db("hosts").count(), before);
});

test("a region is not silent for a twin's sake that wrote over who leads it", async () => {
  const bucket = await world.nats.jetstream().views.kv(STATUS_BUCKET);
  for (const [incarnation, leaderTerm] of [
    ["one", 7],
    ["two", 0],
    ["one", 7],
    ["two", 0],
  ] as const) {
    const agent = { region: "twins", agentId: "twins-1", leaderTerm, process: { incarnation } };
    const status = RegionAgentStatus.fromPartial({ ...agent, time: new Date() });
    const value = RegionAgentStatus.encode(status).finish();
    await bucket.put(regionAgentKey("twins", "twins-1"), value);
    const region = await until(`what ${incarnation} says`, async () => {
      const { regions } = await call(clients.fleet, "listRegions", {});
      const found = regions.find(({ name }) => name === "twins");
      return found?.agents[0]?.process?.incarnation === incarnation && found;
    });
    assert.is(region.silent, false);
  }
});

test.run();
