import { readFile, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import path from "node:path";
import {
  GLOBAL_GOALS_BUCKET,
  regionGoalsBucket,
  regionLeaseBucket,
  STATUS_BUCKET,
} from "@slipway/proto";
import { AckPolicy, DeliverPolicy, jwtAuthenticator, nkeys, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { issueNatsUser, signUser } from "../../src/nats-access/issue-user.js";
import { readIssuerKeys } from "../../src/nats-access/key-files.js";
import { joinMember, startWorld, type World } from "./world.js";

const test = suite("who would get in on NATS");
const HOST = { role: "host", id: "eu-1", region: "eu" } as const;
const AGENT = { role: "region", id: "a1", region: "eu" } as const;
const HOUR_MS = 3_600_000;
let world: World;
test.before(async () => {
  world = await startWorld();
});
test.after(() => world?.close());

const refusal = async (connecting: Promise<unknown>): Promise<string> =>
  connecting.then(
    () => "let in",
    (error: Error) => error.message.replaceAll("'", ""),
  );
const later = (ms: number): Date => new Date(Date.now() + ms);

/** Answers once the server has done all that was asked of it before. */
async function settle(...connections: NatsConnection[]): Promise<void> {
  for (const connection of connections) await connection.flush();
}

test("a question's answer reaches no bucket that its asker may not write to", async () => {
  const agent = await world.connectMember(AGENT, "regional");
  const kv = agent.jetstream().views;
  const goals = await kv.kv(regionGoalsBucket("eu"), { history: 1, allow_direct: true });
  const lease = await kv.kv(regionLeaseBucket("eu"), { history: 1 });
  await goals.put("shop", "a goal");
  const host = await world.connectMember(HOST, "regional");
  const read = "$JS.API.DIRECT.GET.KV_slipway_goals_eu.$KV.slipway_goals_eu.shop";
  assert.is((await host.request(read, undefined, { timeout: 5_000 })).string(), "a goal");
  for (const reply of ["$KV.slipway_lease_eu.leader", "$KV.slipway_goals_eu.other"]) {
    host.publish(read, undefined, { reply });
  }
  // It answers in the order in which it is asked.
  await host.request(read, undefined, { timeout: 5_000 });
  await settle(agent);
  assert.is(await lease.get("leader"), null);
  assert.is(await goals.get("other"), null);
});

test("what a region says of itself is not put where another region's is", async () => {
  const coordinator = await world.connectFile("coordinator", "_INBOX_coordinator");
  const kv = coordinator.jetstream().views;
  await kv.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
  const status = await kv.kv(STATUS_BUCKET, { history: 1 });
  const agent = await world.connectMember(AGENT, "global");
  const own = await agent.jetstream().views.kv(STATUS_BUCKET, { bindOnly: true });
  await own.put("eu.a1", "all is well");
  const filter = "$KV.slipway_status.eu.a1";
  const made = await agent.request(
    `$JS.API.CONSUMER.CREATE.KV_${STATUS_BUCKET}.forger.${filter}`,
    JSON.stringify({
      stream_name: `KV_${STATUS_BUCKET}`,
      config: {
        name: "forger",
        filter_subject: filter,
        deliver_subject: "$KV.slipway_status.us.a1",
        deliver_policy: DeliverPolicy.All,
        ack_policy: AckPolicy.None,
      },
    }),
    { timeout: 5_000 },
  );
  const { error } = made.json<{ error?: { description: string } }>();
  assert.is(error?.description, "consumer deliver subject forms a cycle");
  await own.put("eu.a1", "all is well still");
  await settle(agent, coordinator);
  assert.is(await status.get("us.a1"), null);
});

test("nobody gets in without a user that the fleet made, and that holds", async () => {
  assert.is(await refusal(world.connect(() => undefined)), "Authorization Violation");
  const host = await joinMember(world.out, HOST);
  const otherKey = nkeys.createUser().getSeed();
  const stolen = jwtAuthenticator(host.jwts.regional, otherKey);
  assert.is(await refusal(world.connect(stolen)), "Authorization Violation");
  const [head, payload = "", signature] = host.jwts.regional.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as { name: string };
  const forged = Buffer.from(JSON.stringify({ ...claims, name: "eu-2" })).toString("base64url");
  const changed = jwtAuthenticator([head, forged, signature].join("."), host.seed);
  assert.is(await refusal(world.connect(changed)), "Authorization Violation");
  const over = await joinMember(world.out, HOST, later(-1_000));
  assert.is(await refusal(world.connectMember(HOST, "regional", over)), "Authorization Violation");
});

test("who says nothing, or half a word, is closed; a crowd of them keeps nobody out", async () => {
  const sent = ["", "CONNECT {", `CONNECT {"jwt":"${"x".repeat(3_000)}`, "\0".repeat(3_000)];
  const crowd = Array.from({ length: 400 }, (_, index) => {
    const socket = createConnection({ host: "127.0.0.1", port: world.server.port });
    socket.on("error", () => undefined);
    socket.resume();
    socket.on("connect", () => socket.write(sent[index % sent.length] ?? ""));
    return new Promise<void>((resolve) => socket.on("close", () => resolve()));
  });
  const host = await world.connectMember(HOST, "regional");
  await host.flush();
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error("open after 30 s")), 30_000).unref();
  });
  await Promise.race([Promise.all(crowd), late]);
  await host.flush();
});

test("a user is put out when its time is over, and let in with a newer JWT", async () => {
  const keys = await readIssuerKeys(path.join(world.out, "issuer.json"));
  const pair = nkeys.createUser();
  const member = { ...HOST, natsPublicKey: pair.getPublicKey() };
  const { regional } = await issueNatsUser(keys, { ...member, expireTime: later(2_000) });
  const host = await world.connect(jwtAuthenticator(regional, pair.getSeed()));
  const error = await host.closed();
  assert.match(String(error), /User Authentication Expired/);
  const newer = await issueNatsUser(keys, { ...member, expireTime: later(HOUR_MS) });
  const again = await world.connect(jwtAuthenticator(newer.regional, pair.getSeed()));
  assert.not(again.isClosed());
});

test("keys that sign hosts' users can make none that may do more", async () => {
  const { regions } = await readIssuerKeys(path.join(world.out, "issuer.json"));
  const hosts = regions["eu"]?.hosts;
  assert.ok(hosts);
  const pair = nkeys.createUser();
  const user = { id: "*", natsPublicKey: pair.getPublicKey(), expireTime: later(HOUR_MS) };
  const jwt = await signUser(hosts, user);
  const [head = "", payload = ""] = jwt.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as { nats: object };
  // Signed by the same key, with permissions of its own.
  const nats = { ...claims.nats, pub: { allow: [">"] }, sub: { allow: [">"] } };
  const body = Buffer.from(JSON.stringify({ ...claims, nats })).toString("base64url");
  const signer = nkeys.fromSeed(new TextEncoder().encode(hosts.signingKey));
  const signature = Buffer.from(signer.sign(Buffer.from(`${head}.${body}`))).toString("base64url");
  const wide = jwtAuthenticator(`${head}.${body}.${signature}`, pair.getSeed());
  assert.is(await refusal(world.connect(wide)), "Authorization Violation");
});

test("names that would be wildcards, and keys that are none, get no user", async () => {
  const keys = await readIssuerKeys(path.join(world.out, "issuer.json"));
  const natsPublicKey = nkeys.createUser().getPublicKey();
  const good = { ...HOST, natsPublicKey, expireTime: later(HOUR_MS) };
  const table = [
    { ...good, id: "*" },
    { ...good, id: ">" },
    { ...good, id: "eu-1.x" },
    { ...good, id: "" },
    { ...good, region: "EU" },
    { ...good, region: "ap" },
    { ...good, region: "constructor" },
    { ...good, natsPublicKey: "" },
    { ...good, natsPublicKey: nkeys.createAccount().getPublicKey() },
    { ...good, natsPublicKey: `${natsPublicKey.slice(0, -1)}?` },
  ];
  for (const member of table) {
    const error: unknown = await issueNatsUser(keys, member).catch((reason: unknown) => reason);
    assert.is((error as Error).name, "NatsUserError", JSON.stringify(member));
  }
});

test("what is renewed is let in, and what it takes the place of is not any more", async () => {
  const before = await readFile(path.join(world.out, "coordinator.creds"));
  const agent = await joinMember(world.out, AGENT);
  await world.generate({ renew: ["coordinator", "issuer", "operator"] });
  await world.restart();
  await world.connectFile("coordinator", "_INBOX_coordinator");
  // Signed by the key before: good until that is forgotten.
  await world.connectMember(AGENT, "global", agent);
  await world.connectMember(AGENT, "global");
  const old = path.join(world.out, "old.creds");
  await writeFile(old, before);
  const refused = await refusal(world.connectFile("old", "_INBOX_coordinator"));
  assert.is(refused, "Authorization Violation");

  await world.generate({ forgetPrevious: true });
  await world.restart();
  const forgotten = await refusal(world.connectMember(AGENT, "global", agent));
  assert.is(forgotten, "Authorization Violation");
  await world.connectMember(AGENT, "global");
  await world.connectFile("coordinator", "_INBOX_coordinator");
});

test.run();
