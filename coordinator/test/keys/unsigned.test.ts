import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { credentials, status } from "@grpc/grpc-js";
import { ApplicationGoal, MembershipServiceClient, type Goal } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { GOAL_VALIDITY_MS } from "../../src/goal/goal.js";
import { GOAL_RENEWAL_MS } from "../../src/goal/plan-projection.js";
import { createGoalSigner, openSignedGoal } from "../../src/goal/signing.js";
import { createKeySigner, parsePublicKey } from "../../src/keys/signer.js";
import { call } from "../call.js";
import { TestMember } from "../membership/test-member.js";
import {
  deployNew,
  failure,
  startWorld,
  until,
  type Clients,
  type World,
} from "../rollout/world.js";
import { TestBucket } from "./bucket.js";
import { makeKey, type KeyFiles } from "./keys.js";

const test = suite("what is signed by a command");
let folder: string;
let world: World;
let bucket: TestBucket;
let clients: Clients;
let coordinator: Awaited<ReturnType<World["coordinator"]>>;
let members: MembershipServiceClient;
let goal: KeyFiles;
let member: KeyFiles;
/** The commands sign while it is not there. */
let fault: string;

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-unsigned-"));
  fault = path.join(folder, "fault");
  goal = await makeKey(folder, "goal");
  member = await makeKey(folder, "membership");
  const script = path.join(folder, "sign.mjs");
  await writeFile(
    script,
    `import { sign } from "node:crypto";
    import { existsSync, readFileSync, writeFileSync } from "node:fs";
    const [key, fault] = process.argv.slice(2);
    if (existsSync(fault + "-hangs")) {
      writeFileSync(fault + "-pid", String(process.pid));
      await new Promise((resolve) => setTimeout(resolve, 600_000));
    }
    if (existsSync(fault)) {
      console.error("the vault is sealed");
      process.exit(1);
    }
    console.log(sign(null, readFileSync(0), readFileSync(key)).toString("base64"));`,
  );
  world = await startWorld();
  bucket = new TestBucket(world);
  const signer = ({ file, publicFile }: KeyFiles) => ({
    argv: [process.execPath, script, file, fault],
    publicKeyFile: publicFile,
  });
  coordinator = await world.coordinator({
    goalKeyFile: undefined,
    goalSigner: signer(goal),
    membershipSigner: signer(member),
    projectionIntervalMs: 200,
    reconcileIntervalMs: 200,
  });
  ({ clients } = coordinator);
  members = new MembershipServiceClient(coordinator.address, credentials.createInsecure());
  const host = { hostId: "runs", region: "eu", cell: "", labels: {} };
  await call(clients.fleet, "enrolHosts", { hosts: [host] });
});
test.after(async () => {
  members?.close();
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

test("goals and memberships are", async () => {
  await deployNew(world, clients, "shop");
  const { signed } = await bucket.goalBy("shop", goal.keyId);
  const pem = await readFile(goal.publicFile, "utf8");
  assert.ok(openSignedGoal(signed, parsePublicKey(pem, "goal public key")));
  const { grant } = await call(members, "join", new TestMember("h1").joins());
  assert.is(grant?.certificate?.signature.length, 64);
});

test("while it cannot, a deployment waits and says why, nobody joins, and nothing is lost", async () => {
  await writeFile(fault, "");
  const { id } = await deployNew(world, clients, "mail");
  await until("why it waits", async () => {
    const { deployment } = await call(clients.deployments, "getDeployment", { id });
    return deployment?.blockedBy.includes(
      "the goal could not be signed (the goal signer command ended with exit code 1)",
    );
  });
  const late = new TestMember("h2");
  const refused = await failure(call(members, "join", late.joins()));
  assert.is(refused.code, status.UNAVAILABLE);
  assert.is(refused.reason, "SIGNER_UNAVAILABLE");
  assert.not.match(refused.details, /vault/);
  const list = { region: "", role: 0, pageSize: 0, pageToken: "" };
  const { members: there } = await call(members, "listMembers", list);
  assert.equal(
    there.map((one) => one.id),
    ["h1"],
  );
  const said = world.logs.filter(({ err }) => /vault is sealed/.test(JSON.stringify(err ?? "")));
  const loud = said.filter(({ level }) => Number(level) >= 40);
  assert.ok(said.length > loud.length && loud.length > 0);
  assert.ok(
    loud.every(({ away }) => away === "the signer"),
    "by no loop for itself",
  );

  await rm(fault);
  const found = await bucket.goalBy("mail", goal.keyId);
  assert.is(found.content.deploymentId, id);
  assert.ok((await call(members, "join", late.joins())).grant);
});

test("a goal is issued again long before it expires", async () => {
  const signer = createGoalSigner(createKeySigner(goal.pem, "goal"));
  const { content } = await bucket.goalBy("shop", goal.keyId);
  const kv = await bucket.kv();
  const entry = await kv.get("shop");
  assert.ok(entry);
  const issueTime = new Date(Date.now() - GOAL_VALIDITY_MS + GOAL_RENEWAL_MS - 60_000);
  const expireTime = new Date(issueTime.getTime() + GOAL_VALIDITY_MS);
  const aged: Goal = { ...content, issueTime, expireTime };
  const value = ApplicationGoal.decode(entry.value);
  value.regions["eu"] = await signer.sign(aged);
  await kv.put("shop", ApplicationGoal.encode(value).finish());
  const again = await until("a goal that holds for long", async () => {
    const found = await bucket.goal("shop");
    const left = (found?.content.expireTime?.getTime() ?? 0) - Date.now();
    return left > GOAL_VALIDITY_MS - 3_600_000 && found?.content;
  });
  assert.equal(
    { ...again, issueTime: undefined, expireTime: undefined },
    { ...content, issueTime: undefined, expireTime: undefined },
  );
  assert.ok((again.issueTime?.getTime() ?? 0) > issueTime.getTime());
});

test("a command that hangs keeps no coordinator from stopping", async () => {
  await writeFile(`${fault}-hangs`, "");
  await deployNew(world, clients, "hangs");
  const pid = await until("the command", async () => {
    const text = await readFile(`${fault}-pid`, "utf8").catch(() => "");
    return text !== "" && text;
  });
  await coordinator.stop();
  const ended = /the goal signer command was stopped with the coordinator/;
  assert.ok(world.logs.some(({ err }) => ended.test(JSON.stringify(err ?? ""))));
  await until("its end", () => !isThere(Number(pid)));
});

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.run();
