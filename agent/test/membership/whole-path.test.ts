import { generateKeyPairSync } from "node:crypto";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { credentials, Metadata } from "@grpc/grpc-js";
import { issueToken, startCoordinator, type IssueTerms } from "@slipway/coordinator";
import { freePort, startNats, startPostgres } from "@slipway/examples/servers";
import {
  CreateTokenRequest,
  FleetServiceClient,
  MembershipServiceClient,
  Role,
  TokenRole,
  TokenServiceClient,
  unary,
  type RegionAgentStatus,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { HostConfig, RegionConfig } from "../../src/config.js";
import { startHost } from "../../src/host/host.js";
import { startRegion } from "../../src/region/region.js";
import type { RunningAgent } from "../../src/running-agent.js";
import { certificateExpiry } from "../../src/swarm/identity.js";
import { readIdentity } from "../../src/swarm/identity-file.js";
import { join, readPublicKey, type Swarm } from "../../src/swarm/index.js";
import { eventually, log, temporaryFolder } from "../host/fixtures.js";

// A coordinator, a region's agent and hosts as they are, from the call to the closed connection.
const test = suite("a member's way into the fleet and out of it");
const ends: (() => Promise<unknown> | void)[] = [];
let folder: string;
let address: string;
let natsUrl: string;
let members: MembershipServiceClient;
let seeder: { host: string; port: number };

/** Certificates hold so long here. */
const VALID_MS = 15_000;
const local = async (): Promise<{ host: string; port: number }> => ({
  host: "127.0.0.1",
  port: await freePort(),
});
const admin = new Metadata();
const file = (name: string): string => path.join(folder, name);

async function keyPair(name: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  await writeFile(file(name), privateKey.export({ type: "pkcs8", format: "pem" }));
  await writeFile(file(`${name}.pub`), publicKey.export({ type: "spki", format: "pem" }));
}

test.before(async () => {
  const made = await temporaryFolder();
  ({ folder } = made);
  ends.push(made.remove);
  // Run by root, Postgres has another user, who passes through.
  await chmod(folder, 0o711);
  await keyPair("goal");
  await keyPair("membership");
  for (const name of ["main", "eu"]) await mkdir(file(`blobs-${name}`));
  const postgres = await startPostgres({ dir: file("postgres") });
  ends.push(() => postgres.stop());
  const nats = await startNats({ dir: file("nats") });
  ends.push(() => nats.stop());
  natsUrl = nats.url;
  const databaseUrl = await postgres.createDatabase("main");
  const expireTime = new Date(Date.now() + 3_600_000);
  const token = async (name: string, terms: Omit<IssueTerms, "name" | "expireTime">) =>
    (await issueToken(databaseUrl, { name, expireTime, ...terms }, "a test")).text;
  for (const [name, memberRole] of [
    ["hosts", Role.HOST],
    ["agents", Role.REGION],
  ] as const) {
    await writeFile(file(name), await token(name, { role: "enrol", region: "eu", memberRole }));
  }
  await writeFile(file("region"), await token("eu", { role: "region", region: "eu" }));
  admin.set("authorization", `Bearer ${await token("ada", { role: "admin" })}`);
  const coordinator = await startCoordinator(
    {
      listen: { host: "127.0.0.1", port: 0 },
      databaseUrl,
      replicationDatabaseUrl: await postgres.createDatabase("replication"),
      natsUrls: [natsUrl],
      goalKeyFile: file("goal"),
      membershipKeyFile: file("membership"),
      membershipValidForMs: VALID_MS,
    },
    { log },
  );
  ends.push(() => coordinator.stop());
  ({ address } = coordinator);
  members = new MembershipServiceClient(address, credentials.createInsecure());
  ends.push(() => members.close());
  seeder = await local();
});
test.after(async () => {
  for (const end of ends.toReversed()) await end();
});

async function region(id: string, listen: RegionConfig["listen"]): Promise<RunningAgent> {
  const config: RegionConfig = {
    ...common(id),
    joinTokenFile: file("agents"),
    coordinatorTokenFile: file("region"),
    nats: [natsUrl],
    mainBlobStore: file("blobs-main"),
    blobStore: file("blobs-eu"),
    blobStoreShared: true,
    listen,
    cells: [],
    recheckMs: 3_600_000,
  };
  const agent = await startRegion(config, log);
  ends.push(() => agent.stop());
  return agent;
}
async function host(id: string): Promise<RunningAgent> {
  const config: HostConfig = {
    ...common(id),
    joinTokenFile: file("hosts"),
    cell: "default",
    neighbourCells: [],
    labels: {},
    listen: await local(),
    environment: {},
    storeMaxBytes: 1024 ** 3,
    stopReleasesOnExit: true,
  };
  const agent = await startHost(config, log);
  ends.push(() => agent.stop());
  return agent;
}
const common = (id: string) => ({
  id,
  logLevel: "error" as const,
  region: "eu",
  coordinator: address,
  regionNats: [natsUrl],
  dataDir: file(`data-${id}`),
  identityFile: file(`${id}.json`),
  membershipPublicKeyFile: file("membership.pub"),
  goalPublicKeyFiles: [file("goal.pub")],
  bootstrap: [seeder],
});

/** Whoever has a member's identity, and obeys nobody. */
async function thief(id: string): Promise<Swarm> {
  const swarm = await join({
    identity: await readIdentity(file(`${id}.json`)),
    membershipPublicKey: await readPublicKey(file("membership.pub")),
    cell: "default",
    listen: await local(),
    bootstrap: [seeder],
    log,
  });
  ends.push(() => swarm.close());
  return swarm;
}
const revoke = (id: string): Promise<unknown> => {
  const request = { id, actor: "ada", reason: "stolen", allowMissing: false };
  return unary(members, "revokeMember", request, { timeoutMs: 10_000, metadata: admin });
};

test("joins, renews, and is out of the mesh once it is revoked, whether it obeys or not", async () => {
  await region("eu-a", seeder);
  await host("h1");
  // Of a host and of a region agent: each joined, and then lost its identity to somebody.
  const stolen = ["h2", "eu-b"];
  await (await host("h2")).stop();
  await (await region("eu-b", await local())).stop();
  const page = { region: "eu", role: Role.UNSPECIFIED, pageSize: 0, pageToken: "" };
  const { members: joined } = await unary(members, "listMembers", page, {
    timeoutMs: 10_000,
    metadata: admin,
  });
  assert.equal(
    joined.map(({ id, role }) => [id, role]),
    [
      ["eu-a", Role.REGION],
      ["eu-b", Role.REGION],
      ["h1", Role.HOST],
      ["h2", Role.HOST],
    ],
  );
  for (const id of stolen) {
    const swarm = await thief(id);
    await eventually("it to be among them", () => swarm.stats.neighbours >= 2, 30_000);
    await revoke(id);
    const revokedAt = performance.now();
    await eventually("it to be alone", () => swarm.stats.neighbours === 0, 60_000);
    log.info({ id, ms: performance.now() - revokedAt }, "out of the mesh");
    await swarm.close();
  }
  // Who was not revoked goes on, beyond the end of the first certificate.
  const first = certificateExpiry(await readIdentity(file("h1.json")));
  await eventually(
    "a renewal",
    async () => {
      return certificateExpiry(await readIdentity(file("h1.json"))) > first;
    },
    30_000,
  );
});

test("a region agent whose token is revoked says that it is not let in, until it has another", async () => {
  const clients = {
    fleet: new FleetServiceClient(address, credentials.createInsecure()),
    tokens: new TokenServiceClient(address, credentials.createInsecure()),
  };
  ends.push(() => Object.values(clients).forEach((client) => client.close()));
  const options = { timeoutMs: 10_000, metadata: admin };
  const agent = async (): Promise<RegionAgentStatus | undefined> => {
    const { regions } = await unary(clients.fleet, "listRegions", {}, options);
    return regions[0]?.agents.find(({ agentId }) => agentId === "eu-a");
  };
  await eventually("a sign of life", async () => {
    const said = await agent();
    return said !== undefined && said.coordinatorRefusedSince === undefined;
  });
  const [, id = ""] = (await readFile(file("region"), "utf8")).split("_");
  await unary(clients.tokens, "revokeToken", { id, actor: "", reason: "lost" }, options);
  const out = await eventually("that it is not let in", async () => {
    const said = await agent();
    return said?.coordinatorRefusedSince !== undefined && said;
  });
  assert.is(out.coordinatorRefusal, "the token was revoked; ask an admin for another one");
  const { text } = await unary(
    clients.tokens,
    "createToken",
    CreateTokenRequest.fromPartial({
      name: "eu again",
      role: TokenRole.REGION,
      region: "eu",
      expireTime: new Date(Date.now() + 3_600_000),
    }),
    options,
  );
  await writeFile(file("region"), text);
  await eventually(
    "that it is let in again",
    async () => (await agent())?.coordinatorRefusedSince === undefined,
    90_000,
  );
});

test.run();
