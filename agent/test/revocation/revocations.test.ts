import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { GOAL_SIGNATURE_CONTEXT, SignedRevocationList } from "@slipway/proto";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { KeptRevocations } from "../../src/revocation/kept-revocations.js";
import { RevocationReader } from "../../src/revocation/revocation-reader.js";
import {
  RevocationsRefusedError,
  verifyRevocations,
} from "../../src/revocation/verify-revocations.js";
import { eventually, GoalSigner, temporaryFolder } from "../host/fixtures.js";

interface Context {
  folder: string;
  remove: () => Promise<void>;
}

const test = suite<Context>("revocations");
const signer = new GoalSigner();
const { keys } = signer;

test.before.each(async (context) => {
  Object.assign(context, await temporaryFolder());
});
test.after.each(({ remove }) => remove());

/** What an agent logs as an error. */
function errors() {
  const said: string[] = [];
  const log = pino(
    { level: "error" },
    { write: (line) => said.push((JSON.parse(line) as { msg: string }).msg) },
  );
  return { said, log };
}

/** An agent's list, as its next start finds it, and what it hands on. */
async function start(dataDir: string, by = keys) {
  const { said, log } = errors();
  const reader = new RevocationReader(by, log);
  const handed: string[] = [];
  const kept = new KeptRevocations({
    dataDir,
    reader,
    log,
    onChange: (hostIds) => handed.push([...hostIds].join()),
  });
  await kept.load();
  const take = (value: Uint8Array): void => {
    const list = reader.read(value, "test");
    if (list !== undefined) kept.take(list);
  };
  return { kept, take, handed, said };
}

test("a list of the fleet's is what it says", () => {
  const signed = signer.revocations(7, ["h2", "h1", "h2"]);
  const list = verifyRevocations(signed, keys);
  assert.equal([list.version, [...list.hostIds], list.leftOut], [7, ["h2", "h1"], 0]);
  assert.ok(list.signed.equals(signed));
});

const good = SignedRevocationList.decode(signer.revocations(7, ["h1"]));
const changed = (change: Partial<SignedRevocationList>): Buffer =>
  Buffer.from(SignedRevocationList.encode({ ...good, ...change }).finish());
for (const [what, [signed, reason]] of Object.entries<[Buffer, RegExp]>({
  "an unsigned one": [changed({ signature: Buffer.alloc(0) }), /signature does not fit/],
  "one without a key": [changed({ keyId: "" }), /not signed/],
  "another fleet's": [new GoalSigner().revocations(7, ["h1"]), /key is not trusted/],
  "one with another payload": [changed({ payload: Buffer.from([8, 9]) }), /does not fit/],
  "one signed as a goal": [signer.revocations(7, ["h1"], GOAL_SIGNATURE_CONTEXT), /not fit/],
  "one without a version": [signer.revocations(0, ["h1"]), /no version/],
  "one that is cut off": [signer.revocations(7, ["h1"]).subarray(0, -3), /decoded/],
  nonsense: [Buffer.from([0xff]), /decoded/],
  "a huge one": [Buffer.alloc(1024 * 1024 + 1), /too large/],
})) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => verifyRevocations(signed, keys),
      (error: unknown) => error instanceof RevocationsRefusedError && reason.test(error.message),
    );
  });
}

test("of more than 100,000 hosts those decommissioned last are looked out for", async ({
  folder,
}) => {
  const ids = Array.from({ length: 100_002 }, (_, n) => n.toString(36));
  const { hostIds, leftOut } = verifyRevocations(signer.revocations(1, ids), keys);
  assert.is(hostIds.size, 100_000);
  assert.ok(hostIds.has(ids[0] ?? "") && !hostIds.has(ids.at(-1) ?? ""));
  assert.is(leftOut, 2);
  const { kept, take, said } = await start(folder);
  take(signer.revocations(1, ids));
  await kept.stop();
  assert.is(said.length, 1);
});

test("what is refused is said once a value, and changes nothing", async ({ folder }) => {
  const { kept, take, handed, said } = await start(folder);
  take(signer.revocations(1, ["h1"]));
  for (let time = 0; time < 3; time += 1) {
    take(Buffer.from([0xff]));
    take(changed({ keyId: "" }));
  }
  assert.equal(said, ["list of revoked hosts ignored", "list of revoked hosts ignored"]);
  assert.equal([handed, kept.version], [["h1"], 1]);
  await kept.stop();
});

test("a lower version is never taken, also not after a restart", async ({ folder }) => {
  const first = await start(folder);
  assert.equal([first.kept.version, first.kept.hostIds.size], [0, 0]);
  first.take(signer.revocations(5, ["h1"]));
  first.take(signer.revocations(4, []));
  first.take(signer.revocations(5, ["h9"]));
  first.take(signer.revocations(6, ["h2", "h1"]));
  assert.equal(first.handed, ["h1", "h2,h1"]);
  await first.kept.stop();
  const second = await start(folder);
  assert.equal([second.kept.version, [...second.kept.hostIds]], [6, ["h2", "h1"]]);
  second.take(signer.revocations(5, []));
  second.take(signer.revocations(6, []));
  assert.equal(second.handed, []);
  second.take(signer.revocations(7, ["h3", "h2", "h1"]));
  await second.kept.stop();
  second.take(signer.revocations(8, []));
  assert.equal(second.handed, ["h3,h2,h1"]);
  assert.is((await start(folder)).kept.version, 7);
});

test("a kept list that was changed, or whose key is none any more, does not hold", async ({
  folder,
}) => {
  const first = await start(folder);
  first.take(signer.revocations(5, ["h1"]));
  await first.kept.stop();
  const other = await start(folder, new GoalSigner().keys);
  assert.equal([other.kept.version, other.said.length], [0, 1]);
  const file = path.join(folder, "revocations");
  const bytes = await readFile(file);
  bytes[4] = (bytes[4] ?? 0) ^ 1;
  await writeFile(file, bytes);
  const second = await start(folder);
  assert.equal([second.kept.version, second.said.length], [0, 1]);
  second.take(signer.revocations(5, ["h1"]));
  await second.kept.stop();
  assert.is((await start(folder)).kept.version, 5);
});

test("a list holds also if it cannot be written down, and is as soon as it can", async ({
  folder,
}) => {
  const dataDir = path.join(folder, "later");
  await mkdir(dataDir);
  const { kept, take, handed, said } = await start(dataDir);
  await rm(dataDir, { recursive: true });
  take(signer.revocations(5, ["h1"]));
  assert.equal(handed, ["h1"]);
  await eventually("the failure to be said", () => said.length > 0);
  assert.equal(said, ["list of revoked hosts cannot be kept"]);
  await mkdir(dataDir);
  take(signer.revocations(6, ["h2"]));
  await eventually("the newer one", async () => (await start(dataDir)).kept.version === 6);
  await kept.stop();
});

test.run();
