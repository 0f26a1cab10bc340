import { credentials, status } from "@grpc/grpc-js";
import {
  AuditServiceClient,
  CreateFreezeRequest,
  FleetServiceClient,
  FreezeServiceClient,
  ListAuditEntriesRequest,
} from "@slipway/proto";
import type { Knex } from "knex";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { connectTo, startFleet, type TestFleet } from "../fleet.js";
import { makeToken } from "../auth/tokens.js";
import { goodSpec, openPool, sha } from "../postgres.js";
import { failure } from "../rollout/world.js";

const test = suite("audit and freezes over gRPC");
let fleet: TestFleet;
let clients: ReturnType<typeof connectTo>;
let freezes: FreezeServiceClient;
let audit: AuditServiceClient;
let address: string;
let db: Knex;

test.before(async () => {
  fleet = await startFleet();
  const coordinator = await fleet.start();
  clients = connectTo(coordinator);
  ({ address } = coordinator);
  db = openPool(fleet.databaseUrl);
  freezes = new FreezeServiceClient(coordinator.address, credentials.createInsecure());
  audit = new AuditServiceClient(coordinator.address, credentials.createInsecure());
});
test.after(async () => {
  for (const client of [clients, freezes, audit]) client?.close();
  await db?.destroy();
  await fleet?.close();
});

const apply = (name: string, regions: string[], actor = "ada") =>
  call(clients.applications, "applyApplication", {
    name,
    spec: goodSpec({ regions }),
    expectedRevision: 0,
    actor,
    reason: "because",
  });
const list = (change: Partial<ListAuditEntriesRequest> = {}) =>
  call(audit, "listAuditEntries", ListAuditEntriesRequest.fromPartial(change));
const inMinutes = (minutes: number): Date => new Date(Date.now() + minutes * 60_000);
const freeze = (change: Partial<CreateFreezeRequest>) =>
  call(
    freezes,
    "createFreeze",
    CreateFreezeRequest.fromPartial({
      actor: "ada",
      reason: "a holiday",
      expireTime: inMinutes(60),
      ...change,
    }),
  );

test("applying, submitting and cancelling leave entries, page by page", async () => {
  await apply("shop", ["eu"]);
  await apply("shop", ["eu"]);
  await apply("shop", ["eu", "us"], "bob");
  const submission = { application: "shop", commitSha: sha(1), idempotencyKey: "" };
  const first = await call(clients.builds, "submitBuild", { ...submission, submitter: "ada" });
  await call(clients.builds, "submitBuild", { ...submission, submitter: "bob" });
  const id = first.build?.id ?? "";
  const cancel = { id, actor: "bob", reason: "not needed" };
  await call(clients.builds, "cancelBuild", { ...cancel, submissionId: first.submissionId });
  await call(clients.builds, "cancelBuild", { ...cancel, submissionId: "" });
  const { entries } = await list();
  assert.equal(
    entries.map((entry) => [entry.actor, entry.action, entry.reason, entry.buildId]).toReversed(),
    [
      ["ada", "application.apply", "because", ""],
      ["bob", "application.apply", "because", ""],
      ["ada", "build.submit", "", id],
      ["bob", "build.submit", "", id],
      ["bob", "build.cancel", "not needed", id],
      ["bob", "build.cancel", "not needed", id],
    ],
  );
  assert.ok(entries.every(({ application }) => application === "shop"));
  assert.match(entries[4]?.message ?? "", /revision 2: regions/);
  const pages = [];
  for (let pageToken = ""; ;) {
    const page = await list({ pageSize: 4, pageToken });
    pages.push(page.entries.length);
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  assert.equal(pages, [4, 2]);
  assert.is((await list({ actor: "bob", action: "build" })).entries.length, 3);
  assert.equal((await list({ action: "deployment.roll_back" })).entries, []);
});

test("freezes are listed until they expire or are ended", async () => {
  await apply("shop", ["eu"]);
  const { freeze: one } = await freeze({ application: "shop" });
  const { freeze: two } = await freeze({ region: "eu", expireTime: inMinutes(1) });
  const { freezes: both } = await call(freezes, "listFreezes", {});
  assert.equal(both, [two, one]);
  const end = { id: one?.id ?? "", actor: "bob", reason: "over" };
  await call(freezes, "endFreeze", end);
  await call(freezes, "endFreeze", end);
  assert.equal((await call(freezes, "listFreezes", {})).freezes, [two]);
  const { entries } = await list({ action: "freeze" });
  assert.equal(
    entries.map(({ actor, action, reason, application, region }) => [
      [actor, action, reason],
      [application, region],
    ]),
    [
      [
        ["bob", "freeze.end", "over"],
        ["shop", ""],
      ],
      [
        ["ada", "freeze.create", "a holiday"],
        ["", "eu"],
      ],
      [
        ["ada", "freeze.create", "a holiday"],
        ["shop", ""],
      ],
    ],
  );
});

test("hooks are refused without a secret to sign with", async () => {
  const apply = call(clients.applications, "applyApplication", {
    name: "loud",
    spec: goodSpec({ notificationHooks: [{ url: "http://127.0.0.1/" }] }),
    expectedRevision: 0,
    actor: "",
    reason: "",
  });
  const refused = await failure(apply);
  assert.equal([refused.code, refused.reason], [status.FAILED_PRECONDITION, "HOOK_SECRET_MISSING"]);
  assert.match(refused.details, /--hook-secret-file/);
});

test("bad requests are refused by field, and freeze nothing", async () => {
  const before = (await call(freezes, "listFreezes", {})).freezes.length;
  const id = "00000000-0000-7000-8000-000000000000";
  const cases: [() => Promise<unknown>, status, RegExp][] = [
    [() => freeze({}), status.INVALID_ARGUMENT, /^application:/],
    [() => freeze({ application: "shop", region: "eu" }), 3, /^application:/],
    [() => freeze({ region: "eu", reason: " " }), 3, /^reason: is missing/],
    [() => freeze({ region: "eu", reason: "\u001b[2J" }), 3, /^reason: .*control/],
    [() => freeze({ region: "eu", expireTime: undefined }), 3, /^expire_time: is missing/],
    [() => freeze({ region: "eu", expireTime: inMinutes(-1) }), 3, /^expire_time: .*passed/],
    [() => freeze({ region: "eu", expireTime: inMinutes(91 * 1440) }), 3, /at most 90 days/],
    [() => freeze({ region: "eu", expireTime: new Date(8.64e15) }), 3, /^expire_time/],
    [() => freeze({ region: "nowhere" }), status.NOT_FOUND, /region "nowhere"/],
    [() => freeze({ application: "nobody" }), status.NOT_FOUND, /application "nobody"/],
    [() => call(freezes, "endFreeze", { id, actor: "", reason: "" }), status.NOT_FOUND, /freeze/],
    [() => call(freezes, "endFreeze", { id: "x", actor: "", reason: "" }), 3, /^id:/],
    [() => list({ action: "Drop Table" }), 3, /^action:/],
    [() => list({ application: "nobody" }), status.NOT_FOUND, /application "nobody"/],
    [() => list({ deploymentId: "x" }), 3, /^deployment_id:/],
    [() => list({ after: inMinutes(1), before: inMinutes(0) }), 3, /^before:/],
    [() => list({ after: new Date(-1) }), 3, /^after:/],
    [() => list({ pageToken: "MTp4" }), 3, /^page_token:/],
    [() => list({ pageSize: 1_001 }), 3, /^page_size:/],
  ];
  for (const [attempt, code, details] of cases) {
    const refused = await failure(attempt());
    assert.is(refused.code, code, refused.details);
    assert.match(refused.details, details);
  }
  assert.is((await call(freezes, "listFreezes", {})).freezes.length, before);
});

test("regions that nobody ever had are taken, and named with those like them", async () => {
  const fleetClient = new FleetServiceClient(address, credentials.createInsecure());
  const hosts = [{ hostId: "h1", region: "eu-west", cell: "", labels: {} }];
  await call(fleetClient, "enrolHosts", { hosts });
  fleetClient.close();
  await makeToken(db, "region", { region: "ap-south" });
  const { application, changed, warnings } = await apply("store", [
    "eu-wset",
    "eu-west",
    "ap-south",
    "mars",
  ]);
  assert.equal([changed, application?.spec?.regions.length], [true, 4]);
  assert.equal(
    warnings.map(({ field, region, similarRegions }) => [field, region, similarRegions]),
    [
      ["spec.regions[0]", "eu-wset", ["eu-west"]],
      ["spec.regions[3]", "mars", []],
    ],
  );
  assert.match(
    warnings[0]?.message ?? "",
    /^region eu-wset is not known: no agent, host or token .* \(known and like it: eu-west\)/,
  );
  const again = await apply("store", ["eu-wset", "eu-west", "ap-south", "mars"]);
  assert.equal([again.changed, again.warnings.length], [false, 2], "also when nothing changed");
});

test.run();
