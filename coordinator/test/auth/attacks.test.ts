import { credentials } from "@grpc/grpc-js";
import {
  ApplicationServiceClient,
  AuditServiceClient,
  BuilderServiceClient,
  BuildServiceClient,
  FreezeServiceClient,
  TokenRole,
  TokenServiceClient,
  unary,
  type RequestOf,
  type ResponseOf,
} from "@slipway/proto";
import type { Knex } from "knex";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Coordinator } from "../../src/index.js";
import { startFleet, type TestFleet } from "../fleet.js";
import { addApplication, eventually, openPool, sha } from "../postgres.js";
import { bearer, endingOf, makeToken, type Ending } from "./tokens.js";

const test = suite("tokens under attack");
let fleet: TestFleet;
let coordinator: Coordinator;
let db: Knex;
let clients: ReturnType<typeof connect>;

test.before(async () => {
  fleet = await startFleet();
  coordinator = await fleet.start({ authentication: "tokens" });
  db = openPool(fleet.databaseUrl);
  clients = connect(coordinator);
  for (const name of ["shop", "blog"]) await addApplication(db, name);
});
test.after(async () => {
  for (const client of Object.values(clients ?? {})) client.close();
  await db?.destroy();
  await fleet.close();
});

function connect({ address }: Coordinator) {
  const security = credentials.createInsecure();
  return {
    applications: new ApplicationServiceClient(address, security),
    audit: new AuditServiceClient(address, security),
    builders: new BuilderServiceClient(address, security),
    builds: new BuildServiceClient(address, security),
    freezes: new FreezeServiceClient(address, security),
    tokens: new TokenServiceClient(address, security),
  };
}

/** As the holder of a token. */
function as(token: string) {
  const options = { timeoutMs: 10_000, metadata: bearer(token) };
  const call = <Client extends object, Name extends keyof Client>(
    client: Client,
    name: Name,
    request: RequestOf<Client[Name]>,
  ): Promise<ResponseOf<Client[Name]>> => unary(client, name, request, options);
  const refusal = <Client extends object, Name extends keyof Client>(
    client: Client,
    name: Name,
    request: RequestOf<Client[Name]>,
  ): Promise<Ending> => call(client, name, request).then(() => endingOf(null), endingOf);
  return { call, refusal };
}
const submission = (application: string, number: number) => ({
  application,
  commitSha: sha(number),
  idempotencyKey: "",
  submitter: "somebody else",
});
const NEW_TOKEN = {
  name: "mallory",
  role: TokenRole.ADMIN,
  applications: [],
  region: "",
  subject: "",
  memberRole: 0,
  maxUses: 0,
  allowRejoin: false,
  actor: "",
  reason: "",
};

test("a stolen viewer token sees and changes nothing, and leaves a trace", async () => {
  const { id, text } = await makeToken(db, "viewer");
  const { call, refusal } = as(text);
  const { applications } = await call(clients.applications, "listApplications", {
    pageSize: 0,
    pageToken: "",
    includeRemoved: false,
  });
  assert.equal(
    applications.map(({ name }) => name),
    ["blog", "shop"],
  );
  const expireTime = new Date(Date.now() + 60_000);
  const attempts = [
    await refusal(clients.builds, "submitBuild", submission("shop", 1)),
    await refusal(clients.tokens, "createToken", { ...NEW_TOKEN, expireTime }),
    await refusal(clients.tokens, "revokeToken", { id, actor: "", reason: "" }),
    await refusal(clients.applications, "removeApplication", {
      name: "shop",
      actor: "",
      reason: "",
    }),
  ];
  for (const { code, reason } of attempts) {
    assert.equal([code, reason], ["PERMISSION_DENIED", "ROLE_REQUIRED"]);
  }
  // The same again adds no row.
  await refusal(clients.builds, "submitBuild", submission("shop", 1));
  assert.equal(await db("builds"), []);
  const entries = await eventually(async () => {
    const rows = await db("audit_entries").where({ token_id: id });
    return rows.length >= attempts.length ? rows : undefined;
  });
  assert.is(entries.length, attempts.length);
  for (const entry of entries)
    assert.equal([entry.action, entry.actor], ["token.refused", "the viewer"]);
});

test("who asks is who the token says, whatever the request says", async () => {
  const { id, text } = await makeToken(db, "deployer", { name: "ci" });
  const { call } = as(text);
  const { build } = await call(clients.builds, "submitBuild", submission("shop", 2));
  const { entries } = await call(clients.audit, "listAuditEntries", {
    application: "shop",
    deploymentId: "",
    actor: "",
    action: "build.submit",
    after: undefined,
    before: undefined,
    pageSize: 0,
    pageToken: "",
  });
  const found = entries.find(({ buildId }) => buildId === build?.id);
  assert.equal([found?.actor, found?.tokenId], ["ci", id]);
});

test("a token that is limited to an application stays there", async () => {
  const { text } = await makeToken(db, "admin", { applications: ["shop"] });
  const everywhere = as((await makeToken(db, "admin")).text);
  const { call, refusal } = as(text);
  const { build } = await everywhere.call(clients.builds, "submitBuild", submission("blog", 3));
  assert.ok((await call(clients.builds, "submitBuild", submission("shop", 3))).build);
  const list = { status: 0, commitSha: "", pageSize: 0, pageToken: "" };
  const theirs = await refusal(clients.builds, "getBuild", { id: build?.id ?? "" });
  const nothing = await refusal(clients.builds, "getBuild", { id: crypto.randomUUID() });
  assert.equal(theirs, nothing, "what is there looks like what is not");
  const refused = [
    theirs,
    await refusal(clients.builds, "submitBuild", submission("blog", 4)),
    await refusal(clients.builds, "listBuilds", { application: "", ...list }),
    await refusal(clients.builds, "listBuilds", { application: "blog", ...list }),
    await refusal(clients.builds, "cancelBuild", {
      id: build?.id ?? "",
      submissionId: "",
      actor: "",
      reason: "",
    }),
    await refusal(clients.freezes, "createFreeze", {
      application: "",
      region: "eu",
      actor: "",
      reason: "mine",
      expireTime: new Date(Date.now() + 60_000),
    }),
    await refusal(clients.tokens, "createToken", {
      ...NEW_TOKEN,
      expireTime: new Date(Date.now() + 60_000),
    }),
  ];
  for (const { code, reason } of refused) {
    assert.equal([code, reason], ["PERMISSION_DENIED", "OUT_OF_SCOPE"]);
  }
  const { builds } = await call(clients.builds, "listBuilds", { application: "shop", ...list });
  assert.ok(builds.length > 0 && builds.every(({ application }) => application === "shop"));
  const { applications } = await call(clients.applications, "listApplications", {
    pageSize: 0,
    pageToken: "",
    includeRemoved: false,
  });
  assert.equal(
    applications.map(({ name }) => name),
    ["shop"],
  );
});

test("a builder's token is of its builder only", async () => {
  const { text } = await makeToken(db, "builder", { subject: "b1" });
  const stream = clients.builders.work(bearer(text));
  const ended = new Promise<Ending>((resolve) => {
    stream.on("error", (error) => resolve(endingOf(error)));
    stream.on("end", () => resolve(endingOf(null)));
  });
  stream.resume();
  stream.write({
    message: {
      $case: "hello",
      value: {
        builderId: "b2",
        platform: "linux/x64",
        signsProvenance: false,
        process: undefined,
        takesSeveral: false,
      },
    },
  });
  const { code, reason } = await ended;
  assert.equal([code, reason], ["PERMISSION_DENIED", "OUT_OF_SCOPE"]);
});

test("revoking ends a watch in progress within seconds, also on another coordinator", async () => {
  const other = await fleet.start({ authentication: "tokens" });
  const there = connect(other);
  const admin = as((await makeToken(db, "admin")).text);
  const { id, text } = await makeToken(db, "viewer");
  const { build } = await admin.call(clients.builds, "submitBuild", submission("shop", 5));
  const request = {
    id: build?.id ?? "",
    logs: false,
    afterLogSequence: 0,
    untilDeployable: false,
    untilCaughtUp: false,
  };
  const watches = [clients, there].map(({ builds }) => {
    const stream = builds.watchBuild(request, bearer(text));
    const seen = { messages: 0 };
    const ended = new Promise<Ending>((resolve) => {
      stream.on("error", (error) => resolve(endingOf(error)));
      stream.on("end", () => resolve(endingOf(null)));
    });
    stream.on("data", () => (seen.messages += 1));
    return { seen, ended };
  });
  await eventually(() => watches.every(({ seen }) => seen.messages > 0) || undefined);
  await admin.call(clients.tokens, "revokeToken", { id, actor: "", reason: "stolen" });
  const deadline = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error("still watched after 10 s")), 10_000).unref();
  });
  for (const { ended } of watches) {
    const { code, reason } = await Promise.race([ended, deadline]);
    assert.equal([code, reason], ["UNAUTHENTICATED", "TOKEN_REVOKED"]);
  }
  for (const client of Object.values(there)) client.close();
});

test("tokens are made, seen and ended over gRPC, and never without an end", async () => {
  const { call, refusal } = as((await makeToken(db, "admin", { name: "root" })).text);
  const expireTime = new Date(Date.now() + 60_000);
  const asked = { ...NEW_TOKEN, name: "ci", role: TokenRole.DEPLOYER, expireTime };
  const made = await call(clients.tokens, "createToken", asked);
  assert.equal([made.token?.name, made.token?.creator], ["ci", "root"]);
  const me = await as(made.text).call(clients.tokens, "whoAmI", {});
  assert.equal([me.token?.id, me.token?.role], [made.token?.id, TokenRole.DEPLOYER]);
  const { tokens } = await call(clients.tokens, "listTokens", {
    includeEnded: false,
    pageSize: 0,
    pageToken: "",
  });
  assert.ok(tokens.some(({ id }) => id === made.token?.id));
  assert.not.ok(JSON.stringify(tokens).includes(made.text.slice(33)));
  const bad = [
    { ...asked, expireTime: undefined },
    { ...asked, expireTime: new Date(Date.now() + 400 * 24 * 3_600_000) },
    { ...asked, name: "Slipway" },
    { ...asked, name: "a\nb" },
    { ...asked, role: TokenRole.UNSPECIFIED },
    { ...asked, applications: ["../etc"] },
    { ...asked, role: TokenRole.BUILDER, applications: ["shop"] },
    { ...asked, maxUses: 1 },
  ];
  for (const request of bad) {
    assert.is((await refusal(clients.tokens, "createToken", request)).code, "INVALID_ARGUMENT");
  }
});

test("too many failures are answered with when to try again", async () => {
  const other = await fleet.start({ authentication: "tokens" });
  const there = connect(other);
  const { refusal } = as(`slipway_${"0".repeat(24)}_${"A".repeat(43)}`);
  for (let count = 0; count < 10; count += 1) {
    assert.is((await refusal(there.tokens, "whoAmI", {})).code, "UNAUTHENTICATED");
  }
  const limited = await refusal(there.tokens, "whoAmI", {});
  assert.equal([limited.code, limited.reason], ["RESOURCE_EXHAUSTED", "TOO_MANY_AUTH_FAILURES"]);
  assert.ok((limited.retryDelayMs ?? 0) > 0 && (limited.retryDelayMs ?? 0) <= 60_000);
  for (const client of Object.values(there)) client.close();
});

test.run();
