import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { rawPublicKey, shortKeyId } from "@slipway/proto";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openTrust } from "../../src/trust/open-trust.js";
import { eventually, temporaryFolder } from "../host/fixtures.js";
import { Root } from "./fixtures.js";

interface Context {
  folder: string;
  remove: () => Promise<void>;
}

const test = suite<Context>("kept key sets");
const root = new Root();
const key = (): KeyObject => generateKeyPairSync("ed25519").publicKey;
const [first, second, third] = [key(), key(), key()];
const membership = [key()];
const keys = (...goal: KeyObject[]) => ({ goal, membership });

test.before.each(async (context) => {
  Object.assign(context, await temporaryFolder());
});
test.after.each(({ remove }) => remove());

/** An agent whose command line names the root key, and `first` as a goal key. */
async function start(folder: string, by = root) {
  const said: string[] = [];
  const log = pino(
    { level: "warn" },
    { write: (line) => said.push((JSON.parse(line) as { msg: string }).msg) },
  );
  const file = (name: string): string => path.join(folder, name);
  await writeFile(file("root.pub"), by.pem);
  await writeFile(file("goal.pub"), first.export({ format: "pem", type: "spki" }));
  const dataDir = file("data");
  await mkdir(dataDir, { recursive: true });
  const { keys: trust, keySet } = await openTrust(
    { dataDir, rootPublicKeyFiles: [file("root.pub")], goalPublicKeyFiles: [file("goal.pub")] },
    log,
  );
  if (keySet === undefined) throw new Error("no key sets");
  const trusts = (...named: KeyObject[]): boolean[] =>
    named.map((one) => !("reason" in trust.goals.find(shortKeyId(one))));
  return { keySet, trusts, said, file: path.join(dataDir, "key-set"), dataDir };
}

test("the command line's hold until there is one, which holds over restarts", async ({
  folder,
}) => {
  const one = await start(folder);
  assert.equal(one.trusts(first, second), [true, false]);
  assert.is(one.keySet.offer(root.set(3, keys(second)), "test")?.version, 3);
  assert.equal(one.trusts(first, second), [false, true]);
  await one.keySet.stop();
  const two = await start(folder);
  assert.is(two.keySet.version, 3);
  assert.equal(two.trusts(first, second), [false, true]);
  assert.equal(two.said, []);
});

test("an older one is never taken, not after a restart either; the newest is kept", async ({
  folder,
}) => {
  const one = await start(folder);
  for (const version of [5, 4, 7, 6]) one.keySet.offer(root.set(version, keys(second)), "test");
  await one.keySet.stop();
  const two = await start(folder);
  assert.is(two.keySet.version, 7);
  for (let time = 0; time < 3; time += 1) two.keySet.offer(root.set(6, keys(first)), "test");
  assert.equal(two.trusts(first, second), [false, true]);
  assert.equal([two.keySet.stats.older, two.said.length], [1, 1]);
  assert.ok((await readFile(two.file)).equals(root.set(7, keys(second))));
});

test("another of the same version is refused, and that is said loudly, once", async ({
  folder,
}) => {
  const one = await start(folder);
  one.keySet.offer(root.set(5, keys(second)), "test");
  for (let time = 0; time < 3; time += 1) one.keySet.offer(root.set(5, keys(third)), "test");
  one.keySet.offer(root.set(5, keys(second)), "test");
  assert.equal(one.trusts(second, third), [true, false]);
  assert.is(one.keySet.stats.conflicting, 1);
  assert.match(one.said.join("\n"), /^two key sets of one version.*sign another/);
  await one.keySet.stop();
});

test("what another root key signed, or nobody, is refused", async ({ folder }) => {
  const one = await start(folder);
  const good = root.set(9, keys(second));
  const changed = Buffer.from(good);
  const at = good.indexOf(rawPublicKey(second));
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  for (const wrong of [
    new Root().set(9, keys(second)),
    changed,
    good.subarray(0, -3),
    Buffer.from([0xff]),
    Buffer.alloc(0),
    Buffer.alloc(70_000),
  ]) {
    for (let time = 0; time < 2; time += 1) assert.is(one.keySet.offer(wrong, "test"), undefined);
  }
  assert.equal([one.keySet.version, one.keySet.stats.refused, one.said.length], [0, 6, 6]);
  assert.equal(one.trusts(first, second), [true, false]);
  // One that both sign lets a fleet change its root key.
  one.keySet.offer(new Root().set(9, keys(third), [root]), "test");
  assert.equal(one.trusts(third), [true]);
  await one.keySet.stop();
});

for (const [what, damage] of Object.entries<(kept: Buffer) => Buffer>({
  "cut off": (kept) => kept.subarray(0, 40),
  empty: () => Buffer.alloc(0),
  "another root key's": () => new Root().set(9, keys(second)),
})) {
  test(`one that is ${what} lets no key of the command line's come back`, async ({ folder }) => {
    const one = await start(folder);
    one.keySet.offer(root.set(5, keys(second)), "test");
    await one.keySet.stop();
    await writeFile(one.file, damage(await readFile(one.file)));
    await start(folder);
    const two = await start(folder);
    assert.equal(two.trusts(first, second), [false, false]);
    assert.equal([two.keySet.version, two.keySet.stats.damaged], [0, 1]);
    assert.match(two.said.join("\n"), /no key is trusted until another key set comes/);
    two.keySet.offer(root.set(5, keys(second)), "test");
    assert.equal(two.trusts(first, second), [false, true]);
    await two.keySet.stop();
    assert.is((await start(folder)).keySet.version, 5);
  });
}

test("one that cannot be written down holds all the same, and is once it can", async ({
  folder,
}) => {
  const one = await start(folder);
  await rm(one.dataDir, { recursive: true });
  one.keySet.offer(root.set(5, keys(second)), "test");
  assert.equal(one.trusts(second), [true]);
  await eventually("the failure to be said", () => one.said.includes("key set cannot be kept"));
  await mkdir(one.dataDir);
  one.keySet.offer(root.set(6, keys(third)), "test");
  await eventually("the newer one", async () => (await start(folder)).keySet.version === 6);
  await one.keySet.stop();
});

test.run();
