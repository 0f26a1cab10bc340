import { execFile } from "node:child_process";
import { verify } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CommandSigner, parseCommand, readSignature } from "../../src/keys/command-signer.js";
import { holdSigner } from "../../src/keys/held-signer.js";
import { createKeySigner, parsePublicKey, SignerError } from "../../src/keys/signer.js";
import { Stats } from "../../src/stats.js";
import { until } from "../rollout/world.js";
import { makeKey, type KeyFiles } from "./keys.js";

const test = suite("signer command");
let folder: string;
let key: KeyFiles;
const signers: CommandSigner[] = [];
test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-signer-"));
  key = await makeKey(folder, "goal");
});
test.after.each(async () => {
  for (const signer of signers.splice(0)) await signer.stop();
});
test.after(() => rm(folder, { recursive: true, force: true }));

type Options = Partial<ConstructorParameters<typeof CommandSigner>[0]>;

async function commandSigner(
  argv: readonly string[],
  options: Options = {},
): Promise<CommandSigner> {
  const publicKey = parsePublicKey(await readFile(key.publicFile, "utf8"), "goal public key");
  const signer = new CommandSigner({ use: "goal", publicKey, argv, ...options });
  signers.push(signer);
  return signer;
}

/** A signer whose command is node with this script. */
async function script(name: string, body: string, options?: Options): Promise<CommandSigner> {
  const file = path.join(folder, `${name}.mjs`);
  const begin = `
    import crypto from "node:crypto";
    import fs from "node:fs";
    import { spawn } from "node:child_process";
    const key = fs.readFileSync(${JSON.stringify(key.file)});
    const bytes = fs.readFileSync(0);
    const signature = crypto.sign(null, bytes, key);`;
  await writeFile(file, `${begin}\n${body}`);
  return commandSigner([process.execPath, file], options);
}

const bytes = Buffer.from("slipway goal v1\nwhat is to be signed");

async function failureOf(signing: Promise<unknown>): Promise<SignerError> {
  const error = await signing.then(
    () => assert.unreachable("something was signed"),
    (reason: unknown) => reason,
  );
  assert.instance(error, SignerError);
  return error as SignerError;
}

for (const [how, write] of Object.entries({
  raw: "process.stdout.write(signature);",
  "in base64": 'console.log(signature.toString("base64"));',
  "in base64 for addresses": 'console.log(signature.toString("base64url"));',
})) {
  test(`a script answers ${how}`, async () => {
    const signer = await script("plain", write);
    assert.is(signer.keyId, key.keyId);
    const signature = await signer.sign(bytes);
    assert.ok(verify(null, bytes, signer.publicKey, signature));
    // The same as with the key itself: Ed25519 leaves nothing to chance.
    assert.equal(signature, await createKeySigner(key.pem, "goal").sign(bytes));
  });
}

test("openssl signs, by a script that gives it a file", async () => {
  await promisify(execFile)("openssl", ["version"]);
  const file = path.join(folder, "sign.sh");
  await writeFile(
    file,
    'set -e\nf=$(mktemp)\ntrap \'rm -f "$f"\' EXIT\ncat > "$f"\n' +
      'openssl pkeyutl -sign -rawin -inkey "$1" -in "$f"\n',
  );
  const signer = await commandSigner(["/bin/sh", file, key.file]);
  const large = Buffer.alloc(900_000, "x");
  assert.ok(verify(null, large, signer.publicKey, await signer.sign(large)));
});

for (const [what, [body, failure, message]] of Object.entries<[string, string, RegExp]>({
  "a signature of something else": [
    "process.stdout.write(crypto.sign(null, Buffer.from('x'), key));",
    "mismatched",
    /is no signature by key [0-9a-f]{16}$/,
  ],
  "too few bytes": ["process.stdout.write(signature.subarray(1));", "malformed", /answer 64 bytes/],
  nothing: ["", "malformed", /answer 64 bytes/],
  "too much": ["process.stdout.write(Buffer.alloc(100_000));", "malformed", /says too much/],
  "a failure": [
    "console.error('no such key'); process.exit(3);",
    "failed",
    /^the goal signer command ended with exit code 3$/,
  ],
  "its own end": ["process.kill(process.pid, 'SIGKILL');", "failed", /ended with SIGKILL/],
})) {
  test(`nothing is signed: ${what}`, async () => {
    const signer = await script("wrong", body);
    const error = await failureOf(signer.sign(bytes));
    assert.is(error.failure, failure);
    assert.match(error.message, message);
    if (what === "a failure") assert.is(error.stderr, "no such key\n");
  });
}

test("a command that is not there says so, each time", async () => {
  const signer = await commandSigner([path.join(folder, "none")]);
  const message = "the goal signer command cannot be run: ENOENT";
  for (let time = 0; time < 2; time += 1) {
    const error = await failureOf(signer.sign(bytes));
    assert.equal([error.failure, error.message], ["failed", message]);
  }
});

/** Whether a process is there and no zombie, which only waits for somebody to look at its end. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (!existsSync("/proc/self/stat")) return true;
  const state = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "(gone) X");
  return !/\) [ZX]/.test(state);
}

test("one that hangs is ended with what it has started, and the next one signs", async () => {
  const pids = path.join(folder, "pids");
  const hangs = `
    const child = spawn("sleep", ["600"], { stdio: "inherit" });
    fs.writeFileSync(${JSON.stringify(pids)}, process.pid + " " + child.pid);
    setInterval(() => {}, 1000);`;
  const signer = await script("hangs", hangs, { timeoutMs: 3_000, concurrency: 1 });
  const error = await failureOf(signer.sign(bytes));
  assert.equal(
    [error.failure, error.message],
    ["timed_out", "the goal signer command has not answered within 3 s"],
  );
  for (const pid of (await readFile(pids, "utf8")).split(" ")) {
    await until(`the end of ${pid}`, async () => !(await isAlive(Number(pid))));
  }
  await script("hangs", "process.stdout.write(signature);");
  assert.is((await signer.sign(bytes)).length, 64);
});

test("only so many run at once, so many wait, and stopping ends them all", async () => {
  const dir = await mkdtemp(path.join(folder, "running-"));
  const waits = `
    fs.writeFileSync(${JSON.stringify(dir)} + "/" + process.pid, "");
    setInterval(() => {}, 1000);`;
  const options = { concurrency: 2, maxWaiting: 1, timeoutMs: 60_000 };
  const signer = await script("waits", waits, options);
  const signing = Array.from({ length: 3 }, () => failureOf(signer.sign(bytes)));
  const full = await failureOf(signer.sign(bytes));
  assert.equal(
    [full.failure, full.message],
    ["full", "1 signatures wait for the goal signer command already"],
  );
  await until("two commands", async () => (await readdir(dir)).length === 2);
  await signer.stop();
  await signer.stop();
  const ended = await Promise.all(signing);
  assert.equal(
    ended.map(({ failure }) => failure),
    ["stopped", "stopped", "stopped"],
  );
  assert.is((await readdir(dir)).length, 2);
  assert.is((await failureOf(signer.sign(bytes))).failure, "stopped");
  for (const pid of await readdir(dir)) {
    await until(`the end of ${pid}`, async () => !(await isAlive(Number(pid))));
  }
});

test("many signatures come through a few commands", async () => {
  const signer = await script("many", "process.stdout.write(signature);", { concurrency: 3 });
  const texts = Array.from({ length: 9 }, (_, index) => Buffer.from(`goal ${index}`));
  const signatures = await Promise.all(texts.map((text) => signer.sign(text)));
  for (const [index, text] of texts.entries()) {
    assert.ok(verify(null, text, signer.publicKey, signatures[index] ?? Buffer.alloc(0)));
  }
});

test("what becomes of signatures is counted, and a key that does not hold signs nothing", async () => {
  const stats = new Stats();
  let fault: string | undefined;
  const inner = await script("counted", "process.stdout.write(signature);");
  const signer = holdSigner(inner, { use: "goal", fault: () => fault, stats });
  await signer.sign(bytes);
  fault = "key set version 2 has no goal key";
  const error = await failureOf(signer.sign(bytes));
  assert.equal([error.failure, error.message], ["not_held", fault]);
  fault = undefined;
  await inner.stop();
  await failureOf(signer.sign(bytes));
  const { signed, not_held: notHeld, stopped } = stats.signatures.goal.counts;
  assert.equal([signed, notHeld, stopped], [1, 1, 1]);
  assert.is(stats.signatures.membership.counts.signed, 0);
});

test("a command is words, or a JSON array; a signature is 64 bytes", () => {
  assert.equal(parseCommand(" kms-sign  --key goal "), ["kms-sign", "--key", "goal"]);
  assert.equal(parseCommand('["/opt/my tools/sign", "a b", ""]'), [
    "/opt/my tools/sign",
    "a b",
    "",
  ]);
  for (const text of ["", "  ", "[]", "[1]", '["', '[""]']) {
    assert.throws(() => parseCommand(text), /not a command/);
  }
  const raw = Buffer.alloc(64, 7);
  const base64 = raw.toString("base64");
  for (const answer of [raw, ` ${base64}\r\n`, raw.toString("base64url")]) {
    assert.equal(readSignature(Buffer.from(answer)), raw);
  }
  for (const answer of ["", "x".repeat(63), raw.toString("hex"), `${base64}=`]) {
    assert.is(readSignature(Buffer.from(answer)), undefined);
  }
});

test.run();
