import { status } from "@grpc/grpc-js";
import {
  ERROR_HEADER,
  hostLogSubject,
  ReadHostLogRequest,
  ReadHostLogResponse,
  type ReadHostLogResponse as Answer,
} from "@slipway/proto";
import { headers } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { failure, startWorld, type Clients, type World } from "../rollout/world.js";

const test = suite("decommissioning hosts and reading their logs");
let world: World;
let clients: Clients;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator());
  await enrol("h1", "h2", "h3");
});
test.after(() => world?.stop());

const enrol = (...ids: string[]): Promise<unknown> =>
  call(clients.fleet, "enrolHosts", {
    hosts: ids.map((hostId) => ({ hostId, region: "eu", cell: "", labels: { a: "1" } })),
  });
const read = (change: Partial<ReadHostLogRequest> = {}): Promise<Answer> =>
  call(
    clients.fleet,
    "readHostLog",
    ReadHostLogRequest.fromPartial({ hostId: "h1", application: "shop", ...change }),
  );
const decommission = (hostId: string): Promise<unknown> =>
  call(clients.fleet, "decommissionHost", { hostId, actor: "ada", reason: "broken" });

async function answer(respond: (request: ReadHostLogRequest) => Answer | string) {
  const subscription = world.nats.subscribe(hostLogSubject("eu"), {
    callback: (_, message) => {
      const said = respond(ReadHostLogRequest.decode(message.data));
      if (typeof said === "string") {
        const wrong = headers();
        wrong.set(ERROR_HEADER, said);
        message.respond(new Uint8Array(), { headers: wrong });
      } else {
        message.respond(ReadHostLogResponse.encode(said).finish());
      }
    },
  });
  await world.nats.flush();
  return () => subscription.unsubscribe();
}

test("a part of a log is read through the region", async () => {
  const asked: ReadHostLogRequest[] = [];
  const content = Buffer.from("first\nsecond\n");
  const stop = await answer((request) => {
    asked.push(request);
    return { content, position: "1:13", gap: true };
  });
  assert.equal(await read(), { content, position: "1:13", gap: true });
  await read({ position: "1:13", maxBytes: 100 });
  stop();
  assert.equal(
    asked.map(({ hostId, application, position, maxBytes }) => [
      [hostId, application, position],
      maxBytes,
    ]),
    [
      [["h1", "shop", ""], 65_536],
      [["h1", "shop", "1:13"], 100],
    ],
  );
});

test("what is wrong is said with what to check", async () => {
  const nobody = await failure(read());
  assert.is(nobody.code, status.UNAVAILABLE);
  assert.match(nobody.details, /no agent of region eu listens/);
  const cases: [string, status, RegExp][] = [
    ["NOT_FOUND: h1 runs no shop", status.NOT_FOUND, /region eu says: h1 runs no shop/],
    ["UNAVAILABLE: h1 is silent", status.UNAVAILABLE, /h1 is silent/],
    ["INVALID_ARGUMENT: no such position", status.INVALID_ARGUMENT, /no such position/],
    ["RESOURCE_EXHAUSTED: too many", status.RESOURCE_EXHAUSTED, /too many/],
    ["something else", status.UNAVAILABLE, /something else/],
  ];
  for (const [header, code, details] of cases) {
    const stop = await answer(() => header);
    const refused = await failure(read());
    stop();
    assert.is(refused.code, code);
    assert.match(refused.details, details);
  }
  const bad: [Partial<ReadHostLogRequest>, status, RegExp][] = [
    [{ hostId: "unknown" }, status.NOT_FOUND, /host "unknown"/],
    [{ hostId: "../x" }, status.INVALID_ARGUMENT, /^host_id/],
    [{ application: "" }, status.INVALID_ARGUMENT, /^application/],
    [{ position: "\n" }, status.INVALID_ARGUMENT, /^position/],
    [{ maxBytes: 524_289 }, status.INVALID_ARGUMENT, /^max_bytes/],
  ];
  for (const [change, code, details] of bad) {
    const refused = await failure(read(change));
    assert.is(refused.code, code);
    assert.match(refused.details, details);
  }
});

test("a region that hears and does not answer", async () => {
  const subscription = world.nats.subscribe(hostLogSubject("eu"), { callback: () => undefined });
  await world.nats.flush();
  const refused = await failure(read());
  subscription.unsubscribe();
  assert.is(refused.code, status.UNAVAILABLE);
  assert.match(refused.details, /nobody answered for host h1 within 5 s/);
});

test("a decommissioned host counts no more and cannot enrol again", async () => {
  await decommission("h2");
  await decommission("h2");
  const answered = await enrol("h2", "h3", "h4");
  assert.equal(answered, { decommissionedHostIds: ["h2"] });
  const page = { region: "eu", pageSize: 0, pageToken: "" };
  const enrolled = await call(clients.fleet, "listEnrolledHosts", page);
  assert.equal(
    enrolled.hosts.map(({ hostId }) => hostId),
    ["h1", "h3", "h4"],
  );
  const { hosts } = await call(clients.fleet, "listHosts", { ...page, application: "" });
  assert.is(hosts.length, 3);
  const { regions } = await call(clients.fleet, "listRegions", {});
  assert.equal(
    regions.map(({ name, enrolledHostCount }) => [name, enrolledHostCount]),
    [["eu", 3]],
  );
  assert.is((await failure(read({ hostId: "h2" }))).code, status.NOT_FOUND);
  assert.is((await failure(decommission("unknown"))).code, status.NOT_FOUND);
  assert.is((await failure(decommission("No Name"))).code, status.INVALID_ARGUMENT);
  const audit = (await world.db("audit_entries")) as Record<string, unknown>[];
  assert.equal(
    audit.map(({ actor, action, reason, region, host_id }) => [
      [actor, action, reason],
      [region, host_id],
    ]),
    [
      [
        ["ada", "host.decommission", "broken"],
        ["eu", "h2"],
      ],
    ],
  );
  assert.ok(world.logs.some(({ hostIds }) => Array.isArray(hostIds) && hostIds[0] === "h2"));
});

test.run();
