import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { credentials } from "@grpc/grpc-js";
import {
  BuilderServiceClient,
  FleetServiceClient,
  MembershipServiceClient,
  ReplicationServiceClient,
  unary,
  type RequestOf,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { generateKey } from "../../src/keygen.js";
import { TestMember } from "../membership/test-member.js";
import { eventually } from "../postgres.js";
import { applyApplication, insertBuild, startWorld, type World } from "../rollout/world.js";
import { bearer, endingOf, makeToken, type Ending } from "./tokens.js";

const test = suite("what is said in another's name");
let folder: string;
let world: World;
let address: string;
let fleet: FleetServiceClient;
let replication: ReplicationServiceClient;
let members: MembershipServiceClient;
let builders: BuilderServiceClient;
/** Tokens of regions, and of who joins as a host. */
let eu: { id: string; text: string };
let us: { id: string; text: string };
let enrol: { id: string; text: string };

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-other-regions-"));
  const membershipKeyFile = path.join(folder, "membership.key");
  await generateKey(membershipKeyFile);
  world = await startWorld();
  ({ address } = await world.coordinator({ membershipKeyFile, authentication: "tokens" }));
  const open = [address, credentials.createInsecure()] as const;
  fleet = new FleetServiceClient(...open);
  replication = new ReplicationServiceClient(...open);
  members = new MembershipServiceClient(...open);
  builders = new BuilderServiceClient(...open);
  eu = await makeToken(world.db, "region", { name: "eu", region: "eu" });
  us = await makeToken(world.db, "region", { name: "us", region: "us" });
  enrol = await makeToken(world.db, "enrol", { name: "rack" });
});
test.after(async () => {
  for (const client of [fleet, replication, members, builders]) client?.close();
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

const ending = (promise: Promise<unknown>): Promise<Ending> =>
  promise.then(() => endingOf(null), endingOf);
function say<Client extends object, Name extends keyof Client>(
  token: { text: string },
  client: Client,
  name: Name,
  request: RequestOf<Client[Name]>,
): Promise<Ending> {
  const options = { timeoutMs: 10_000, metadata: bearer(token.text) };
  return ending(unary(client, name, request, options));
}
const enrols = (token: { text: string }, region: string, ...hostIds: string[]): Promise<Ending> => {
  const hosts = hostIds.map((hostId) => ({ hostId, region, cell: "", labels: {} }));
  return say(token, fleet, "enrolHosts", { hosts });
};
const regions = async (): Promise<Record<string, string>> => {
  const rows: { host_id: string; region: string }[] = await world.db("hosts").orderBy("host_id");
  return Object.fromEntries(rows.map(({ host_id: id, region }) => [id, region]));
};
/** The audit's rows of calls with a token that it did not allow, once there are so many. */
const refusals = (id: string, count: number): Promise<string[]> =>
  eventually(async () => {
    const rows = await world.db("audit_entries").where({ token_id: id, action: "token.refused" });
    const messages = rows.map(({ message }: { message: string }) => message);
    return messages.length >= count ? messages : undefined;
  });

test("a region's token says nothing of another region, and leaves a trace", async () => {
  const application = await applyApplicationAsAdmin();
  const { digest } = await insertBuild(world.db, application);
  const report = { artifactDigest: digest, state: 3, bytesCopied: 1, message: "" };
  const paged = { pageSize: 0, pageToken: "" };
  const refused = [
    await enrols(us, "eu", "eu-1"),
    await say(us, fleet, "listEnrolledHosts", { region: "eu", ...paged }),
    await say(us, replication, "reportReplication", { region: "eu", ...report }),
  ];
  for (const { code, reason } of refused) {
    assert.equal([code, reason], ["PERMISSION_DENIED", "OUT_OF_SCOPE"]);
  }
  const stream = replication.watchReplicationTargets({ region: "eu" }, bearer(us.text));
  const { code, reason } = await new Promise<Ending>((resolve) => {
    stream.on("error", (error) => resolve(endingOf(error)));
    stream.on("end", () => resolve(endingOf(null)));
    stream.resume();
  });
  assert.equal([code, reason], ["PERMISSION_DENIED", "OUT_OF_SCOPE"]);
  assert.equal(await regions(), {});
  assert.equal(await world.replicationDb("replications"), []);
  assert.is((await refusals(us.id, 4)).length, 4);
});

async function applyApplicationAsAdmin() {
  // Another coordinator on the same databases, which asks nobody who they are.
  const coordinator = await world.coordinator();
  const application = await applyApplication(coordinator.clients, "shop", ["eu", "us"]);
  await coordinator.stop();
  return application;
}

test("a region takes no host from another one, and has its own enrolled all the same", async () => {
  assert.is((await enrols(eu, "eu", "eu-1", "eu-2")).code, "OK");
  // One that joined in eu, and that eu's agents have not heard of yet.
  const member = new TestMember("eu-3");
  assert.is((await say(enrol, members, "join", member.joins())).code, "OK");
  const before = (await refusals(us.id, 0)).length;
  assert.is((await enrols(us, "us", "eu-1", "us-1", "eu-3")).code, "OK");
  assert.equal(await regions(), { "eu-1": "eu", "eu-2": "eu", "us-1": "us" });
  const logged = world.logs.find(({ msg }) => msg === "hosts of other regions are not enrolled");
  assert.equal([logged?.["count"], logged?.["hostIds"]], [2, ["eu-1", "eu-3"]]);
  // Once for a token, method and minute: the refusal before may have been in this one.
  assert.ok((await refusals(us.id, before)).length >= before);
  assert.is((await enrols(eu, "eu", "eu-3")).code, "OK");
  assert.is((await regions())["eu-3"], "eu");
});

test("whose a host is says its membership, also if another region was first", async () => {
  assert.is((await enrols(us, "us", "web-9")).code, "OK");
  assert.is((await say(enrol, members, "join", new TestMember("web-9").joins())).code, "OK");
  assert.is((await enrols(us, "us", "web-9")).code, "OK");
  assert.is((await enrols(eu, "eu", "web-9")).code, "OK");
  assert.is((await regions())["web-9"], "eu");
  // A revoked one is nobody's any more, and comes back under no region.
  await world.db("members").where({ id: "web-9" }).update({ revoke_time: world.db.fn.now() });
  assert.is((await enrols(us, "us", "web-9")).code, "OK");
  assert.is((await regions())["web-9"], "eu");
});

test("a claim that the token does not allow is counted and audited, wherever it is said", async () => {
  const builder = await makeToken(world.db, "builder", { subject: "b1" });
  const stream = builders.work(bearer(builder.text));
  const ended = new Promise<Ending>((resolve) => {
    stream.on("error", (error) => resolve(endingOf(error)));
    stream.on("end", () => resolve(endingOf(null)));
  });
  stream.resume();
  const hello = {
    builderId: "b2",
    platform: "linux/x64",
    signsProvenance: false,
    process: undefined,
    takesSeveral: false,
  };
  stream.write({ message: { $case: "hello", value: hello } });
  assert.is((await ended).reason, "OUT_OF_SCOPE");
  assert.match((await refusals(builder.id, 1))[0] ?? "", /BuilderService\/Work: .*builder b1/);
  const limited = await makeToken(world.db, "enrol", { subject: "web-1" });
  const joined = await say(limited, members, "join", new TestMember("web-2").joins());
  assert.equal([joined.code, joined.reason], ["PERMISSION_DENIED", "OUT_OF_SCOPE"]);
  assert.match((await refusals(limited.id, 1))[0] ?? "", /MembershipService\/Join: .*web-1/);
  assert.is(await world.db("members").where({ id: "web-2" }).first(), undefined);
});

test.run();
