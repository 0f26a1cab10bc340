import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parseNamedKey, readKeySet } from "../../src/keys/key-set-file.js";
import { makeKey, signInto, type KeyFiles } from "./keys.js";

const test = suite("keys");
const bin = fileURLToPath(new URL("../../bin/slipway-coordinator.js", import.meta.url));
let folder: string;
let root: KeyFiles;
let goal: KeyFiles;
let next: KeyFiles;
let member: KeyFiles;
test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-keys-"));
  root = await makeKey(folder, "root");
  goal = await makeKey(folder, "goal");
  next = await makeKey(folder, "next@home");
  member = await makeKey(folder, "membership");
});
test.after(() => rm(folder, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const options = { timeout: 30_000 };
  try {
    const ran = await promisify(execFile)(process.execPath, [bin, "keys", ...args], options);
    return { code: 0, ...ran };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}
const file = (name: string): string => path.join(folder, name);
const sign = (out: string, version: number, ...more: string[]) =>
  run(
    "sign",
    `--root-key=${root.file}`,
    `--goal-key=${goal.publicFile}`,
    `--membership-key=${member.publicFile}`,
    `--version=${version}`,
    `--out=${file(out)}`,
    ...more,
  );

test("a set is signed, shown, and replaced by a higher one alone", async () => {
  const signed = await sign(
    "set",
    1,
    `--goal-key=${next.publicFile}@2100-01-31`,
    "--revoke-key=0011223344556677",
  );
  assert.equal([signed.code, signed.stderr], [0, ""]);
  const lines = [
    "version          1",
    /^issued           \d{4}-.*Z$/,
    `signed by        ${root.keyId}`,
    `goal key         ${goal.keyId}  no end`,
    new RegExp(
      `^goal key         ${next.keyId}  until 2100-01-31T00:00:00.000Z \\(\\d+ days left\\)$`,
    ),
    `membership key   ${member.keyId}  no end`,
    "revoked          0011223344556677",
    "",
  ];
  for (const [index, line] of signed.stdout.split("\n").entries()) {
    const expected = lines[index];
    if (expected instanceof RegExp) assert.match(line, expected);
    else assert.is(line, expected);
  }
  const shown = await run("show", file("set"), `--root-public-key=${root.publicFile}`);
  assert.is(shown.stdout, signed.stdout);
  assert.is((await run("show", file("set"))).stdout, signed.stdout);

  const before = await readFile(file("set"));
  const same = await sign("set", 1);
  assert.is(same.code, 1);
  assert.match(same.stderr, /set has version 1 already: sign a higher one\n$/);
  assert.equal(await readFile(file("set")), before);
  assert.is((await sign("set", 2, `--revoke-key=${next.publicFile}`)).code, 0);
  const second = await readKeySet(file("set"), root.publicFile);
  assert.equal([second.version, [...second.revokedKeyIds]], [2, [next.keyId]]);
  assert.equal(
    (await readdir(folder)).filter((name) => name.includes(".new-")),
    [],
  );
});

test("each root key signs", async () => {
  const other = await makeKey(folder, "other-root");
  assert.is((await sign("both", 1, `--root-key=${other.file}`)).code, 0);
  for (const { publicFile } of [root, other]) {
    assert.is((await readKeySet(file("both"), publicFile)).version, 1);
  }
});

test("what cannot be used is a plain reason, and nothing is written", async () => {
  await writeFile(file("something"), "else");
  const table: [out: string, more: string[], code: number, reason: RegExp][] = [
    [
      "x",
      [`--goal-key=${root.publicFile}`],
      1,
      /is the root key, which signs nothing but key sets/,
    ],
    ["x", [`--goal-key=${goal.publicFile}`], 1, /has goal key .* twice/],
    ["x", [`--revoke-key=${goal.publicFile}`], 1, /has goal key .* and revokes it/],
    [
      "x",
      [`--goal-key=${goal.file}`],
      1,
      /public key .*goal.key is not a public key in PEM: it is a private one/,
    ],
    ["x", [`--goal-key=${file("none")}`], 1, /none cannot be read: ENOENT/],
    ["x", [`--goal-key=${next.publicFile}@2020-01-01`], 1, /the end of .* has passed/],
    ["x", [`--goal-key=${next.publicFile}@2020-13-01`], 2, /not a day or a time with its zone/],
    ["x", [`--root-key=${root.publicFile}`], 1, /is not a private key in PEM/],
    ["x", ["--version=0"], 2, /whole number from 1 on/],
    ["something", [], 1, /is there and is no key set that could be replaced/],
  ];
  for (const [out, more, code, reason] of table) {
    const { stdout, stderr, ...ran } = await sign(out, 9, ...more);
    assert.equal([ran.code, stdout], [code, ""], more.join(" "));
    assert.match(stderr, reason);
  }
  assert.is((await readdir(folder)).includes("x"), false);
  assert.is(await readFile(file("something"), "utf8"), "else");
  const shown = await run("show", file("something"));
  assert.is(shown.code, 1);
  assert.match(shown.stderr, /something: the .*key set cannot be decoded/);
  await signInto(file("shown"), root, { version: 1, goal: [goal], membership: [member] });
  const other = await run("show", file("shown"), `--root-public-key=${goal.publicFile}`);
  assert.is(other.code, 1);
  assert.match(other.stderr, /not signed by the root key, but by/);
});

test("a key's end is a day, or a time with its zone", () => {
  const table: [text: string, file: string, end: string | undefined][] = [
    ["k.pub", "k.pub", undefined],
    ["a@b/k.pub", "a@b/k.pub", undefined],
    ["k.pub@2030-02-01", "k.pub", "2030-02-01T00:00:00.000Z"],
    ["a@b.pub@2030-02-01T10:00+02:00", "a@b.pub", "2030-02-01T08:00:00.000Z"],
  ];
  for (const [text, name, end] of table) {
    const key = parseNamedKey(text);
    assert.equal([key.file, key.notAfter?.toISOString()], [name, end]);
  }
  for (const text of ["k@2030-02-01T10:00", "k@2030-02", "k@2030-02-31x"]) {
    assert.throws(() => parseNamedKey(text), /not a day or a time with its zone/);
  }
});

test.run();
