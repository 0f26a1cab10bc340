import path from "node:path";
import { credentials } from "@grpc/grpc-js";
import { MembershipServiceClient, Role, type MemberGrant } from "@slipway/proto";
import { startPostgres, type PostgresServer } from "@slipway/examples/servers";
import { jwtAuthenticator, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startCoordinator, type Coordinator } from "../../src/index.js";
import { generateKey } from "../../src/keygen.js";
import { call } from "../call.js";
import { TestMember } from "../membership/test-member.js";
import { silent } from "../postgres.js";
import { failure } from "../rollout/world.js";
import { startWorld, type World } from "./world.js";

const test = suite("members' users of NATS");
let world: World;
let postgres: PostgresServer;
let coordinator: Coordinator;
let members: MembershipServiceClient;
test.before(async () => {
  [world, postgres] = await Promise.all([startWorld(), startPostgres()]);
  const file = (name: string): string => path.join(world.out, name);
  await generateKey(file("goal.key"));
  await generateKey(file("membership.key"));
  coordinator = await startCoordinator(
    {
      listen: { host: "127.0.0.1", port: 0 },
      authentication: "none",
      databaseUrl: await postgres.createDatabase("main"),
      replicationDatabaseUrl: await postgres.createDatabase("replication"),
      natsUrls: [world.server.url],
      natsCredentialsFile: file("coordinator.creds"),
      natsIssuerFile: file("issuer.json"),
      natsRevocation: {
        systemCredentialsFile: file("system.creds"),
        operatorKeyFile: file("operator-signing.nk"),
        regionUrls: {},
      },
      goalKeyFile: file("goal.key"),
      membershipKeyFile: file("membership.key"),
      projectionIntervalMs: 200,
    },
    { log: silent },
  );
  members = new MembershipServiceClient(coordinator.address, credentials.createInsecure());
});
test.after(async () => {
  members?.close();
  await coordinator?.stop();
  await world?.close();
  await postgres?.stop();
});

async function join(member: TestMember): Promise<MemberGrant> {
  const { grant } = await call(members, "join", member.joins());
  assert.ok(grant);
  return grant;
}

const by = { actor: "test", reason: "stolen", allowMissing: false };

/** On the network as a host that has joined. */
const enter = (member: TestMember, jwt: string): Promise<NatsConnection> =>
  world.connect(
    jwtAuthenticator(jwt, member.natsSeed),
    member.role === Role.HOST
      ? `_INBOX_host.${member.id}`
      : `_INBOX_region.${member.region}.${member.id}`,
  );

const refusal = (entering: Promise<unknown>): Promise<string> =>
  entering.then(() => "let in", String);

test("who joins is let in, and put out when it is revoked, for good", async () => {
  const [stolen, other] = [new TestMember("eu-1"), new TestMember("eu-2")];
  const [jwt, otherJwt] = [(await join(stolen)).natsJwt, (await join(other)).natsJwt];
  const connection = await enter(stolen, jwt);
  const bystander = await enter(other, otherJwt);

  await call(members, "revokeMember", { ...by, id: "eu-1" });
  assert.match(String(await connection.closed()), /User Authentication Revoked/);
  const refused = await refusal(enter(stolen, jwt));
  assert.match(refused, /Authorization Violation/);
  await bystander.flush();

  await world.restart();
  const after = await refusal(enter(stolen, jwt));
  assert.match(after, /Authorization Violation/);
  await enter(other, otherJwt);
});

test("a region agent is put out of its region and of the global NATS", async () => {
  const agent = new TestMember("eu-agent", Role.REGION);
  const { natsJwt, globalNatsJwt } = await join(agent);
  const [regional, global] = [await enter(agent, natsJwt), await enter(agent, globalNatsJwt)];
  await call(members, "revokeMember", { ...by, id: "eu-agent" });
  for (const connection of [regional, global]) {
    assert.match(String(await connection.closed()), /User Authentication Revoked/);
  }
});

test("a server that was set up anew is told again who was revoked", async () => {
  const stolen = new TestMember("eu-3");
  const { natsJwt } = await join(stolen);
  const connection = await enter(stolen, natsJwt);
  await call(members, "revokeMember", { ...by, id: "eu-3" });
  await connection.closed();
  // Accounts that are newer than what the coordinator said, and know nothing of it.
  await world.generate();
  await world.restart();
  for (let attempt = 1; ; attempt += 1) {
    const entered = await enter(stolen, natsJwt).catch(() => undefined);
    if (entered === undefined) break;
    assert.ok(attempt < 10, "nobody puts it out");
    await entered.closed();
  }
  assert.match(await refusal(enter(stolen, natsJwt)), /Authorization Violation/);
});

test("a region without accounts is said to be one, and nobody joins", async () => {
  const member = new TestMember("ap-1", Role.HOST, "ap");
  const error = await failure(call(members, "join", member.joins()));
  assert.is(error.reason, "REGION_WITHOUT_NATS");
  assert.match(error.details, /region ap has no NATS accounts: add it with nats-config --regions/);
  const everything = { role: Role.UNSPECIFIED, pageSize: 0, pageToken: "" };
  const { members: found } = await call(members, "listMembers", { ...everything, region: "ap" });
  assert.equal(found, []);
});

test("a builder gets no user", async () => {
  const grant = await join(new TestMember("b1", Role.BUILDER));
  assert.equal([grant.natsJwt, grant.globalNatsJwt], ["", ""]);
});

test.run();
