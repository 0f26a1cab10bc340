import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { JoinClaim } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { generateKey } from "../../src/keygen.js";
import { call } from "../call.js";
import { endingOf, type Ending } from "../auth/tokens.js";
import { TestMember } from "../membership/test-member.js";
import { applyApplication, startWorld, until, type Clients, type World } from "../rollout/world.js";
import { METHODS } from "./good-requests.js";
import { HOSTILE } from "./hostile.js";
import { Maker } from "./maker.js";
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
let make: Maker;

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-hostile-"));
  const membershipKeyFile = path.join(folder, "membership.key");
  await generateKey(membershipKeyFile);
  world = await startWorld();
  const started = await world.coordinator({ membershipKeyFile, leaseDurationMs: 600_000 });
  ({ clients } = started);
  raw = new Client(started.address, credentials.createInsecure());
  make = new Maker(world, started);
  await applyApplication(clients, "shop", ["eu"]);
  // Somebody for whom deployments are.
  await make.enrolled();
});
test.after(async () => {
  raw?.close();
  make?.close();
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

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
          request = await base(make, field.name);
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
      const ending = await call(make.members, "join", request).then(() => endingOf(null), endingOf);
      assert.is.not(ending.code, "OK", `${key}: ${what}`);
      checkEnding(`${key}: ${what}`, ending, differing(before, await both()), []);
    }
  }
});

test("MembershipService/Renew refuses each id", async () => {
  const before = await settled();
  for (const [what, value] of Object.entries(HOSTILE)) {
    const { time } = await call(make.members, "getTime", {});
    const request = new TestMember(value).renews(time);
    const ending = await call(make.members, "renew", request).then(() => endingOf(null), endingOf);
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
