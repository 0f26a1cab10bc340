import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import {
  BuilderServiceClient,
  BuildServiceClient,
  FreezeServiceClient,
  JoinClaim,
  MembershipServiceClient,
  type Lease,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { generateKey } from "../../src/keygen.js";
import { call } from "../call.js";
import { artifactOf, TestBuilder } from "../fleet.js";
import { endingOf, makeToken, type Ending } from "../auth/tokens.js";
import { TestMember } from "../membership/test-member.js";
import { goodSpec, sha } from "../postgres.js";
import {
  applyApplication,
  createDeployment,
  deployNew,
  insertBuild,
  replicate,
  startWorld,
  until,
  type Clients,
  type World,
} from "../rollout/world.js";
import { HOSTILE } from "./hostile.js";
import { stringFields, type StringField } from "./string-fields.js";
import { lastWrite, tableContents } from "./table-contents.js";

const test = suite("hostile strings in every request");

/** How a call may end that changed nothing. */
const REFUSALS = new Set([
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
]);

let folder: string;
let world: World;
let clients: Clients;
let raw: Client;
let builds: BuildServiceClient;
let builders: BuilderServiceClient;
let freezes: FreezeServiceClient;
let members: MembershipServiceClient;

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-hostile-"));
  const membershipKeyFile = path.join(folder, "membership.key");
  await generateKey(membershipKeyFile);
  world = await startWorld();
  const started = await world.coordinator({ membershipKeyFile, leaseDurationMs: 600_000 });
  ({ clients } = started);
  const open = [started.address, credentials.createInsecure()] as const;
  raw = new Client(...open);
  builds = new BuildServiceClient(...open);
  builders = new BuilderServiceClient(...open);
  freezes = new FreezeServiceClient(...open);
  members = new MembershipServiceClient(...open);
  await applyApplication(clients, "shop", ["eu"]);
  // Somebody for whom deployments are.
  await enrolled();
});
test.after(async () => {
  for (const client of [raw, builds, builders, freezes, members]) client?.close();
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

let made = 0;
const name = (): string => `a${(made += 1)}`;
const in1h = (): object => ({ seconds: Math.floor(Date.now() / 1_000) + 3_600 });

async function submitted(): Promise<string> {
  const request = { application: "shop", commitSha: sha((made += 1)) };
  const all = { ...request, idempotencyKey: "", submitter: "" };
  const { build } = await call(builds, "submitBuild", all);
  return build?.id ?? "";
}
async function built(): Promise<{ id: string; digest: string; application: string }> {
  const application = await applyApplication(clients, name(), ["eu"]);
  const build = await insertBuild(world.db, application);
  await replicate(clients, build.digest, ["eu"]);
  return { ...build, application: application.name };
}
async function paused(): Promise<string> {
  const { id } = await deployNew(world, clients, name());
  await call(clients.deployments, "pauseDeployment", { id, actor: "ada", reason: "a test" });
  return id;
}
/** An application that may go back from its second build to the first. */
async function deployedTwice(): Promise<{ application: string; toBuildId: string }> {
  const first = await built();
  const application = await applyApplication(clients, first.application, ["eu"]);
  const second = await insertBuild(world.db, application);
  await replicate(clients, second.digest, ["eu"]);
  for (const { id } of [first, second]) await createDeployment(clients, { buildId: id });
  return { application: first.application, toBuildId: first.id };
}
async function enrolled(): Promise<string> {
  const hostId = name();
  const hosts = [{ hostId, region: "eu", cell: "", labels: {} }];
  await call(clients.fleet, "enrolHosts", { hosts });
  return hostId;
}
async function joined(): Promise<string> {
  const member = new TestMember(name());
  await call(members, "join", member.joins());
  return member.id;
}
async function frozen(): Promise<string> {
  const expireTime = new Date(Date.now() + 3_600_000);
  const request = { application: name(), region: "", actor: "ada", reason: "a test", expireTime };
  await applyApplication(clients, request.application, ["eu"]);
  const { freeze } = await call(freezes, "createFreeze", request);
  return freeze?.id ?? "";
}
/** A build that builder b1 has leased. */
async function leased(): Promise<Lease> {
  await submitted();
  const builder = new TestBuilder(builders);
  await builder.hello("b1", 1);
  const { lease } = await builder.hear("leased");
  builder.end();
  await builder.ended();
  assert.ok(lease);
  return lease;
}

const by = { actor: "ada", reason: "a test" };
/** A request of each method in which all is right, and what of it such a call may change. */
const METHODS: Record<
  string,
  { base: (field: string) => object | Promise<object>; changes: readonly string[] }
> = {
  "ApplicationService/ApplyApplication": {
    base: () => ({ name: "shop-2", spec: goodSpec(), ...by }),
    changes: ["applications", "application_revisions", "audit_entries"],
  },
  "ApplicationService/GetApplication": { base: () => ({ name: "shop" }), changes: [] },
  "ApplicationService/ListApplications": { base: () => ({}), changes: [] },
  "ApplicationService/RemoveApplication": {
    base: async () => ({ name: (await applyApplication(clients, name(), ["eu"])).name, ...by }),
    changes: ["applications", "audit_entries"],
  },
  "BuildService/SubmitBuild": {
    base: () => ({ application: "shop", commitSha: sha((made += 1)) }),
    changes: ["builds", "build_submissions", "audit_entries"],
  },
  "BuildService/GetBuild": { base: async () => ({ id: await submitted() }), changes: [] },
  "BuildService/GetBuildProvenance": { base: async () => ({ id: await submitted() }), changes: [] },
  "BuildService/ListBuilds": { base: () => ({ application: "shop" }), changes: [] },
  "BuildService/CancelBuild": {
    base: async () => ({ id: await submitted(), ...by }),
    changes: ["builds", "build_submissions", "audit_entries"],
  },
  "BuildService/WatchBuild": { base: async () => ({ id: await submitted() }), changes: [] },
  "BuilderService/Work": {
    base: async () => {
      const lease = await leased();
      const line = { time: in1h(), source: 1, text: "x" };
      return {
        hello: { builderId: "b1", platform: "linux/x64" },
        heartbeat: { leases: [lease] },
        logs: { lease, batch: 1, lines: [line] },
        complete: { lease, artifact: artifactOf("a") },
        fail: { lease, failure: { reason: 7, message: "x" }, retry: false },
      };
    },
    changes: ["builds", "unplanned_builds", "audit_entries"],
  },
  "DeploymentService/CreateDeployment": {
    base: async () => ({ buildId: (await built()).id, creator: "ada", reason: "a test" }),
    changes: ["deployments", "audit_entries", "notifications"],
  },
  "DeploymentService/GetDeployment": { base: async () => ({ id: await paused() }), changes: [] },
  "DeploymentService/ListDeployments": { base: () => ({ application: "shop" }), changes: [] },
  "DeploymentService/WatchDeployment": { base: async () => ({ id: await paused() }), changes: [] },
  "DeploymentService/RollBack": {
    base: async () => ({ ...(await deployedTwice()), creator: "ada", reason: "a test" }),
    changes: ["deployments", "audit_entries", "notifications"],
  },
  "DeploymentService/PlanDeployment": {
    base: async () => ({
      create: { buildId: (await built()).id },
      rollBack: await deployedTwice(),
    }),
    changes: [],
  },
  ...Object.fromEntries(
    ["Pause", "Resume", "Promote", "Abort"].map((verb) => [
      `DeploymentService/${verb}Deployment`,
      {
        base: async () => ({ id: await paused(), ...by }),
        changes: ["deployments", "audit_entries", "notifications"],
      },
    ]),
  ),
  "ReplicationService/WatchReplicationTargets": { base: () => ({ region: "eu" }), changes: [] },
  "ReplicationService/ReportReplication": {
    base: async () => ({ region: "eu", artifactDigest: (await built()).digest, state: 4 }),
    changes: ["replications"],
  },
  "ReplicationService/GetReplicationStatus": {
    base: async () => ({ artifactDigest: (await built()).digest }),
    changes: [],
  },
  "FleetService/ListHosts": { base: () => ({ region: "eu" }), changes: [] },
  "FleetService/EnrolHosts": {
    base: () => ({ hosts: [{ hostId: name(), region: "eu", cell: "c1" }] }),
    changes: ["hosts"],
  },
  "FleetService/ListEnrolledHosts": { base: () => ({ region: "eu" }), changes: [] },
  "FleetService/DecommissionHost": {
    base: async () => ({ hostId: await enrolled(), ...by }),
    changes: ["hosts", "members", "audit_entries"],
  },
  "FleetService/ReadHostLog": {
    base: async () => ({ hostId: await enrolled(), application: "shop" }),
    changes: [],
  },
  "FreezeService/CreateFreeze": {
    base: async () => {
      const application = await applyApplication(clients, name(), ["eu"]);
      return { application: application.name, region: "eu", expireTime: in1h(), ...by };
    },
    changes: ["freezes", "audit_entries"],
  },
  "FreezeService/EndFreeze": {
    base: async () => ({ id: await frozen(), ...by }),
    changes: ["freezes", "audit_entries"],
  },
  "AuditService/ListAuditEntries": { base: () => ({}), changes: [] },
  "MembershipService/ListMembers": { base: () => ({}), changes: [] },
  "MembershipService/RevokeMember": {
    base: async () => ({ id: await joined(), ...by }),
    changes: ["members", "hosts", "audit_entries"],
  },
  "MembershipService/ReleaseMember": {
    base: async () => ({ id: await joined(), ...by }),
    changes: ["members", "audit_entries"],
  },
  "TokenService/CreateToken": {
    base: (field) => ({
      name: "ci",
      role: field === "region" ? 5 : field === "subject" ? 4 : 1,
      expireTime: in1h(),
      ...by,
    }),
    changes: ["tokens", "audit_entries"],
  },
  "TokenService/ListTokens": { base: () => ({}), changes: [] },
  "TokenService/RevokeToken": {
    base: async () => ({ id: (await makeToken(world.db, "viewer")).id, ...by }),
    changes: ["tokens", "audit_entries"],
  },
};

const as = (buffer: Buffer): Buffer => buffer;

/** Ends at the first answer, or with the refusal. */
function say(field: StringField, base: object, value: string): Promise<Ending> {
  const bytes = field.encode(base, value);
  const options = { deadline: Date.now() + 20_000 };
  return new Promise((resolve) => {
    const end = (error?: unknown): void => resolve(endingOf(error));
    if (!field.responseStream) {
      raw.makeUnaryRequest(field.method, as, as, bytes, options, (error) => end(error));
      return;
    }
    if (!field.requestStream) {
      const stream = raw.makeServerStreamRequest(field.method, as, as, bytes, options);
      stream.on("error", end).on("end", () => end());
      stream.on("data", () => {
        end();
        stream.cancel();
      });
      return;
    }
    const stream = raw.makeBidiStreamRequest(field.method, as, as, options);
    stream.on("error", end).on("end", () => end());
    const hello = { builderId: "b1", platform: "linux/x64" };
    const isHello = field.name.startsWith("hello.");
    let left = isHello ? 1 : 2;
    stream.on("data", () => {
      left -= 1;
      if (left > 0) return;
      end();
      stream.cancel();
    });
    if (!isHello) stream.write(helloField().encode({ hello }, "linux/x64"));
    stream.write(bytes);
  });
}

const fields = stringFields();
const helloField = (): StringField => {
  const found = fields.find(({ name: field }) => field === "hello.platform");
  if (found === undefined) throw new Error("a builder says no platform");
  return found;
};
/** Of both databases, whose tables have different names. */
async function both(): Promise<Record<string, string>> {
  const [main, replication] = await Promise.all([world.db, world.replicationDb].map(tableContents));
  return {
    ...main,
    ...replication,
    "(columns)": `${main?.["(columns)"]}${replication?.["(columns)"]}`,
  };
}
/** What is in the tables once nothing moves any more, nor will: what would go on is paused. */
async function settled(): Promise<Record<string, string>> {
  const deadline = Date.now() + 20_000;
  const running = world.db("deployments").whereIn("state", ["PENDING", "RUNNING", "WAITING"]);
  for (const id of await running.pluck<string[]>("id")) {
    const pausing = call(clients.deployments, "pauseDeployment", { id, actor: "ada", reason: "" });
    // It may be over, or paused for somebody who is silent.
    await pausing.catch(() => undefined);
  }
  await until("builds to be planned", async () => {
    const left: unknown = await world.db("unplanned_builds").first();
    return left === undefined;
  });
  for (let before = await both(); ;) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    const now = await both();
    if (JSON.stringify(now) === JSON.stringify(before)) return now;
    if (Date.now() > deadline) throw new Error("the tables do not come to rest");
    before = now;
  }
}
function differing(before: Record<string, string>, after: Record<string, string>): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((table) => before[table] !== after[table]);
}
/** Checks what must hold however a call ended. */
function checkEnding(label: string, ending: Ending, changed: string[], allowed: readonly string[]) {
  const known = ending.code === "OK" || REFUSALS.has(ending.code);
  assert.ok(known, `${label}: ${ending.code} ${ending.message}`);
  const outside = changed.filter((table) => ending.code !== "OK" || !allowed.includes(table));
  assert.equal(outside, [], `${label}: ${ending.code}, and tables changed`);
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  assert.not.match(ending.message, /[\u0000-\u0009\u000b-\u001f]/, label);
  assert.ok(ending.message.length < 10_000, `${label}: a message of ${ending.message.length}`);
}

test("each method that has strings is known to this test", () => {
  const methods = new Set(fields.map(({ method }) => method.replace("/slipway.v1.", "")));
  assert.equal([...methods].sort(), Object.keys(METHODS).sort());
  assert.ok(fields.length > 120, `${fields.length} strings`);
});

for (const [method, { base, changes }] of Object.entries(METHODS)) {
  test(`${method} refuses each, or keeps it as a text`, async () => {
    for (const field of fields.filter((each) => each.method === `/slipway.v1.${method}`)) {
      let request: object | undefined;
      let before: Record<string, string> = {};
      let writes = "";
      for (const [what, value] of Object.entries(HOSTILE)) {
        if (request === undefined) {
          request = await base(field.name);
          before = await settled();
          writes = await lastWrite(world.db);
        }
        const ending = await say(field, request, value);
        const isSame = (await lastWrite(world.db)) === writes;
        const after = isSame ? before : await both();
        const label = `${field.name}: ${what}`;
        const isAway = method.endsWith("ReadHostLog") && ending.code === "UNAVAILABLE";
        if (!isAway) checkEnding(label, ending, differing(before, after), changes);
        // What was taken may have used up what the request was of.
        if (ending.code === "OK") request = undefined;
      }
    }
  });
}

test("MembershipService/Join refuses each in what an agent signs", async () => {
  const keys = Object.entries(JoinClaim.fromPartial({})).flatMap(([key, value]) =>
    typeof value === "string" ? [key] : [],
  );
  assert.equal(keys, ["id", "region", "natsPublicKey"]);
  const before = await settled();
  for (const key of keys) {
    for (const [what, value] of Object.entries(HOSTILE)) {
      const request = new TestMember("m1").joins({ claim: { [key]: value } });
      const ending = await call(members, "join", request).then(() => endingOf(null), endingOf);
      assert.is.not(ending.code, "OK", `${key}: ${what}`);
      checkEnding(`${key}: ${what}`, ending, differing(before, await both()), []);
    }
  }
});

test("MembershipService/Renew refuses each id", async () => {
  const before = await settled();
  for (const [what, value] of Object.entries(HOSTILE)) {
    const { time } = await call(members, "getTime", {});
    const request = new TestMember(value).renews(time);
    const ending = await call(members, "renew", request).then(() => endingOf(null), endingOf);
    assert.is.not(ending.code, "OK", what);
    checkEnding(what, ending, differing(before, await both()), []);
  }
});

test("what was logged of all this is one JSON object a line, and none of it an error", () => {
  // Each line was parsed as it came (see startWorld): a string that broke out would have thrown.
  assert.ok(world.logs.length > 1_000, `${world.logs.length} lines`);
  const errors = world.logs.filter(({ level }) => Number(level) >= 50);
  assert.equal(errors.slice(0, 3), []);
  assert.not.ok(world.logs.some(({ msg }) => msg === "forged"));
});

test.run();
