import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type ServiceError, status } from "@grpc/grpc-js";
import {
  type Build,
  type BuildFacts,
  BuildFailureReason,
  BuildStatus,
  getErrorDetails,
  type Lease,
  PROVENANCE_MAX_BYTES,
  Role,
  verifyProvenance,
  WorkAccepted_Kind,
  WorkLost_Reason,
} from "@slipway/proto";
import type { Knex } from "knex";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { systemClock } from "../../src/context.js";
import { generateKey } from "../../src/keygen.js";
import { ProvenanceJudge } from "../../src/provenance/judge.js";
import { call } from "../call.js";
import { artifactOf, connectTo, startFleet, TestBuilder, type TestFleet } from "../fleet.js";
import { goodSpec, openPool, sha } from "../postgres.js";
import { TestSigner } from "./test-signer.js";

const test = suite("provenance of builds");
let fleet: TestFleet;
let db: Knex;
let folder: string;
let membershipKey: KeyObject;
let membershipKeyFile: string;
type Clients = ReturnType<typeof connectTo>;
/** Of a coordinator that knows the membership key, of one that does not, and of one that asks for signatures. */
let clients: Clients;
let unknowing: Clients;
let strict: Clients;

test.before(async () => {
  fleet = await startFleet();
  folder = await mkdtemp(path.join(tmpdir(), "slipway-provenance-"));
  membershipKeyFile = path.join(folder, "membership.key");
  await generateKey(membershipKeyFile);
  membershipKey = createPrivateKey(await readFile(membershipKeyFile));
  clients = connectTo(await fleet.start({ membershipKeyFile }));
  unknowing = connectTo(await fleet.start());
  strict = connectTo(await fleet.start({ membershipKeyFile, requireProvenance: true }));
  db = openPool(fleet.databaseUrl);
  const build = { command: ["make", "all"], artifactPath: "out/shop", maxAttempts: 2 };
  const spec = goodSpec({ build });
  const request = { name: "shop", spec, expectedRevision: 0, actor: "", reason: "" };
  await call(clients.applications, "applyApplication", request);
});
test.after(async () => {
  for (const one of [clients, unknowing, strict]) one?.close();
  await db?.destroy();
  await fleet.close();
  await rm(folder, { recursive: true, force: true });
});

let commits = 0;
/** Has a build leased to a builder, which goes on over this stream. */
async function leased(
  { builders, builds }: Clients,
  builderId = "b1",
): Promise<{ builder: TestBuilder; lease: Lease; facts: BuildFacts }> {
  commits += 1;
  const commitSha = sha(commits);
  const request = { application: "shop", commitSha, idempotencyKey: "", submitter: "" };
  await call(builds, "submitBuild", request);
  const builder = new TestBuilder(builders);
  await builder.hello(builderId, 1, { signsProvenance: true });
  const lease = await nextLease(builder);
  const facts: BuildFacts = {
    ...lease,
    builderId,
    application: "shop",
    applicationRevision: 1,
    repository: "https://example.com/shop.git",
    commitSha,
    command: ["make", "all"],
    artifact: artifactOf("a"),
  };
  return { builder, lease, facts };
}
async function nextLease(builder: TestBuilder): Promise<Lease> {
  const { lease } = await builder.hear("leased");
  if (lease === undefined) throw new Error("no lease was said");
  return lease;
}
async function read({ buildId: id }: Lease): Promise<Build> {
  const { build } = await call(clients.builds, "getBuild", { id });
  if (build === undefined) throw new Error("no build was answered");
  return build;
}
async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  try {
    await promise;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error("the call succeeded");
}
/** Ends a build that was put back into the queue, so that no other test gets it. */
async function cancel({ buildId: id }: Lease): Promise<void> {
  await call(clients.builds, "cancelBuild", { id, submissionId: "", actor: "", reason: "" });
}

test("what a builder signs is kept with its build, and shown", async () => {
  const { builder, lease, facts } = await leased(clients);
  const signer = new TestSigner(membershipKey);
  builder.complete(lease, "a", signer.sign(facts));
  assert.is((await builder.hear("accepted")).kind, WorkAccepted_Kind.COMPLETE);
  // Said again after a lost answer, in other bytes: the first stays.
  builder.complete(lease, "a", new TestSigner(membershipKey).sign(facts));
  await builder.hear("accepted");
  const { provenance, status: state, finishTime } = await read(lease);
  assert.is(state, BuildStatus.SUCCEEDED);
  const { time, membershipKeyId, ...summary } = provenance ?? {};
  assert.equal(summary, { builderId: "b1", keyId: signer.keyId, verified: true });
  assert.match(membershipKeyId ?? "", /^[0-9a-f]{16}$/);
  assert.ok(time instanceof Date);
  // Lists do not look.
  const page = {
    application: "",
    status: 0,
    commitSha: facts.commitSha,
    pageSize: 0,
    pageToken: "",
  };
  const { builds } = await call(clients.builds, "listBuilds", page);
  assert.equal(
    builds.map((one) => one.provenance),
    [undefined],
  );
  // Whoever reads it may check it without believing the coordinator.
  const whole = await call(clients.builds, "getBuildProvenance", { id: lease.buildId });
  assert.equal(whole.summary, provenance);
  assert.ok(whole.provenance !== undefined && finishTime !== undefined);
  const check = { facts, membershipKeys: [createPublicKey(membershipKey)], time: finishTime };
  assert.is(verifyProvenance(whole.provenance, check).keyId, signer.keyId);
  builder.cut();
});

test("unsigned builds succeed as ever, and say that there is nothing", async () => {
  const { builder, lease } = await leased(clients);
  builder.complete(lease);
  await builder.hear("accepted");
  assert.is((await read(lease)).provenance, undefined);
  for (const [id, reason, words] of [
    [lease.buildId, "PROVENANCE_NOT_FOUND", /is not signed: builder b1 had no identity/],
    ["00000000-0000-7000-8000-000000000000", "BUILD_NOT_FOUND", /there is no build/],
  ] as const) {
    const error = await failure(call(clients.builds, "getBuildProvenance", { id }));
    assert.is(error.code, status.NOT_FOUND);
    assert.is(getErrorDetails(error.metadata)?.reason, reason);
    assert.match(error.details, words);
  }
  const bad = await failure(call(clients.builds, "getBuildProvenance", { id: "x" }));
  assert.is(bad.code, status.INVALID_ARGUMENT);
  builder.cut();
});

test("a coordinator without a membership key keeps it, and says that it is not verified", async () => {
  const { builder, lease, facts } = await leased(unknowing);
  const signer = new TestSigner(generateKeyPairSync("ed25519").privateKey);
  builder.complete(lease, "a", signer.sign(facts));
  await builder.hear("accepted");
  const { provenance } = await read(lease);
  assert.equal(
    [provenance?.keyId, provenance?.verified, provenance?.membershipKeyId],
    [signer.keyId, false, ""],
  );
  builder.cut();
});

const strangers: [string, (facts: BuildFacts) => Buffer, RegExp][] = [
  ["garbage", () => Buffer.from([0xff, 0xff, 0xff]), /cannot be decoded/],
  ["something else", () => Buffer.from("\n\u0002{}"), /no payloadType/],
  ["too much", () => Buffer.alloc(PROVENANCE_MAX_BYTES + 1), /has 65537 bytes, more than 65536/],
  [
    "another builder's",
    (facts) => new TestSigner(membershipKey, { id: "b2" }).sign(facts),
    /certificate is of builder "b2", not of "b1"/,
  ],
  [
    "another builder's, with this one's certificate",
    (facts) =>
      new TestSigner(membershipKey, { id: "b2" }).sign(
        facts,
        new TestSigner(membershipKey).certificate,
      ),
    /not signed by the certificate's key/,
  ],
  [
    "a host's",
    (facts) => new TestSigner(membershipKey, { role: Role.HOST, region: "eu" }).sign(facts),
    /certificate is of host "b1", not of a builder/,
  ],
  [
    "of a key that the fleet does not know",
    (facts) => new TestSigner(generateKeyPairSync("ed25519").privateKey).sign(facts),
    /certificate is not signed by the membership key/,
  ],
  [
    "after the certificate's end",
    (facts) => new TestSigner(membershipKey, { expireTime: new Date(Date.now() - 1) }).sign(facts),
    /certificate ended/,
  ],
  [
    "of another artifact",
    (facts) => new TestSigner(membershipKey).sign({ ...facts, artifact: artifactOf("b") }),
    /subject\[0\]\.digest\.sha256 is "bbb/,
  ],
  [
    "of another commit",
    (facts) => new TestSigner(membershipKey).sign({ ...facts, commitSha: sha(9_999) }),
    /externalParameters\.commit is/,
  ],
  [
    "of another application",
    (facts) => new TestSigner(membershipKey).sign({ ...facts, application: "till" }),
    /is "till", not "shop"/,
  ],
  [
    "of another repository",
    (facts) => new TestSigner(membershipKey).sign({ ...facts, repository: "/tmp/evil" }),
    /externalParameters\.repository is "\/tmp\/evil"/,
  ],
  [
    "of another command",
    (facts) => new TestSigner(membershipKey).sign({ ...facts, command: ["sh"] }),
    /commandDigest/,
  ],
  [
    "of another build",
    (facts) => new TestSigner(membershipKey).sign({ ...facts, buildId: facts.commitSha }),
    /invocationId is/,
  ],
  [
    "of another attempt",
    (facts) => new TestSigner(membershipKey).sign({ ...facts, attempt: 2 }),
    /invocationId is ".*\/2", not ".*\/1"/,
  ],
];
for (const [what, forge, words] of strangers) {
  test(`refused, and put back for another attempt: ${what}`, async () => {
    const { builder, lease, facts } = await leased(clients);
    builder.complete(lease, "a", forge(facts));
    const lost = await builder.hear("lost");
    assert.equal([lost.lease, lost.reason], [lease, WorkLost_Reason.PROVENANCE_REFUSED]);
    assert.match(lost.message, words);
    const build = await read(lease);
    assert.equal([build.status, build.artifact], [BuildStatus.QUEUED, undefined]);
    await cancel(lease);
    builder.cut();
  });
}

test("the last attempt's refusal is the build's failure, and says why", async () => {
  const { builder, lease, facts } = await leased(clients);
  const forged = new TestSigner(membershipKey, { id: "b2" });
  builder.complete(lease, "a", forged.sign(facts));
  await builder.hear("lost");
  builder.ready(1, 1);
  const second = await nextLease(builder);
  assert.equal([second.buildId, second.attempt], [lease.buildId, 2]);
  builder.complete(second, "a", forged.sign({ ...facts, attempt: 2 }));
  await builder.hear("lost");
  const build = await read(lease);
  assert.is(build.status, BuildStatus.FAILED);
  assert.is(build.failure?.reason, BuildFailureReason.PROVENANCE_REFUSED);
  assert.match(build.failure?.message ?? "", /^the provenance of builder b1 was refused: /);
  builder.cut();
});

test("replayed from another build of the same commit it is refused, and so is one of a lost lease", async () => {
  const { builder, lease, facts } = await leased(clients);
  const signed = new TestSigner(membershipKey).sign(facts);
  builder.complete(lease, "a", signed);
  await builder.hear("accepted");
  const { commitSha } = facts;
  const again = { application: "shop", commitSha, idempotencyKey: "", submitter: "" };
  await call(clients.builds, "submitBuild", again);
  builder.ready(1, 1);
  const second = await nextLease(builder);
  assert.is.not(second.buildId, lease.buildId);
  builder.complete(second, "a", signed);
  assert.is((await builder.hear("lost")).reason, WorkLost_Reason.PROVENANCE_REFUSED);
  // It is queued again, and not this builder's: whatever it signs changes nothing.
  const facts2 = { ...facts, buildId: second.buildId };
  builder.complete(second, "a", new TestSigner(membershipKey).sign(facts2));
  assert.is((await builder.hear("lost")).reason, WorkLost_Reason.SUPERSEDED);
  assert.is((await read(second)).status, BuildStatus.QUEUED);
  await cancel(second);
  // Neither does a forged one of a build that has succeeded.
  builder.complete(lease, "a", Buffer.from("x"));
  assert.is((await builder.hear("lost")).reason, WorkLost_Reason.SUPERSEDED);
  assert.is((await read(lease)).provenance?.verified, true);
  builder.cut();
});

test("what a builder signs once it was taken out of the fleet is refused", async () => {
  const { builder, lease, facts } = await leased(clients, "b-out");
  // Its stream ends as well, in a moment: so this asks without one.
  builder.cut();
  await db("members").insert({ id: "b-out", revoke_time: db.fn.now() });
  const membershipKeys = () => [createPublicKey(membershipKey)];
  const judge = new ProvenanceJudge({ db, clock: systemClock, isRequired: false, membershipKeys });
  const signed = new TestSigner(membershipKey, { id: "b-out" }).sign(facts);
  const key = { ...lease, builderId: "b-out" };
  assert.equal(await judge.judge(key, artifactOf("a"), signed), {
    kind: "refused",
    message:
      "the provenance of builder b-out was refused: builder b-out was taken out of the fleet",
    retry: true,
  });
  await cancel(lease);
});

test("where signatures are required nobody else is let in, and nothing else is taken", async () => {
  const unsigned = new TestBuilder(strict.builders);
  const about = {
    builderId: "b1",
    platform: "linux/x64",
    signsProvenance: false,
    process: undefined,
    takesSeveral: false,
  };
  unsigned.say({ $case: "hello", value: about });
  const error = (await unsigned.ended()) as ServiceError;
  assert.is(error.code, status.FAILED_PRECONDITION);
  assert.is(getErrorDetails(error.metadata)?.reason, "PROVENANCE_REQUIRED");
  assert.match(error.details, /builder b1 signs nothing.*--identity FILE/);
  // One that says that it does, and does not.
  const { builder, lease, facts } = await leased(strict);
  builder.complete(lease);
  assert.match((await builder.hear("lost")).message, /signed nothing, and only signed builds/);
  builder.ready(1, 1);
  const second = await nextLease(builder);
  builder.complete(second, "a", new TestSigner(membershipKey).sign({ ...facts, attempt: 2 }));
  await builder.hear("accepted");
  assert.is((await read(lease)).provenance?.verified, true);
  builder.cut();
  const keyless = await failure(fleet.start({ requireProvenance: true }));
  assert.match(keyless.message, /--require-provenance needs the membership key/);
});

test.run();
