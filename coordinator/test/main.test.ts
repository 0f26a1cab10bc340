import { execFile } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parseListenAddress, resolveConfig } from "../src/config.js";
import { retryUntil } from "../src/retry.js";
import { silent } from "./postgres.js";

const test = suite("slipway-coordinator");
const bin = fileURLToPath(new URL("../bin/slipway-coordinator.js", import.meta.url));
let dir: string;
test.before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "slipway-coordinator-main-"));
});
test.after(() => rm(dir, { recursive: true, force: true }));

const run = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
const serve = (...args: string[]) =>
  run(
    "serve",
    "--database-url=postgres://127.0.0.1:1/a",
    "--replication-database-url=postgres://127.0.0.1:1/b",
    "--nats=nats://127.0.0.1:1",
    `--goal-key=${path.join(dir, "key")}`,
    ...args,
  );

test("keygen writes a pair once, the private half for its owner alone", async () => {
  const file = path.join(dir, "key");
  assert.is((await run("keygen", "--out", file)).code, 0);
  assert.is((await stat(file)).mode & 0o777, 0o600);
  const pem = await readFile(file, "utf8");
  assert.is(createPrivateKey(pem).asymmetricKeyType, "ed25519");
  const publicPem = await readFile(`${file}.pub`, "utf8");
  assert.is(createPublicKey(pem).export({ type: "spki", format: "pem" }), publicPem);
  const again = await run("keygen", "--out", file);
  assert.is(again.code, 1);
  assert.match(again.stderr, /exists/);
  assert.is(await readFile(file, "utf8"), pem);
});

test("bad options are a reason on stderr and exit code 2", async () => {
  const table: [string[], RegExp][] = [
    [["serve"], /required option '--database-url/],
    [["keygen", "--out", path.join(dir, "x"), "--nonsense"], /unknown option '--nonsense'/],
    [["nonsense"], /unknown command|too many arguments/],
    [["keygen"], /required option '--out/],
  ];
  for (const [args, reason] of table) {
    const { code, stdout, stderr } = await run(...args);
    assert.is(code, 2, args.join(" "));
    assert.match(stderr, reason);
    assert.is(stdout, "");
  }
  const address = await serve("--listen", "nowhere");
  assert.equal([address.code, address.stdout], [2, ""]);
  assert.is(address.stderr, 'not an address of the form HOST:PORT: "nowhere"\n');
  const everywhere = await serve("--listen", "0.0.0.0:7700");
  assert.is(everywhere.code, 2);
  assert.match(everywhere.stderr, /refusing to listen on 0.0.0.0/);
});

test("what can't be used is a plain reason and exit code 1", async () => {
  const { code, stdout, stderr } = await serve("--goal-key", path.join(dir, "none"));
  assert.is(code, 1);
  assert.match(stderr, /^--goal-key: the goal key .*none cannot be read: ENOENT\n$/);
  assert.is(stdout, "", "and is said once");
});

test("secrets that others may read, and what holds no certificate, are told by their options", async () => {
  const [key, other] = [path.join(dir, "open-key"), path.join(dir, "no-ca")];
  assert.is((await run("keygen", "--out", key)).code, 0);
  await writeFile(other, "nothing");
  const notPem = await serve(`--goal-key=${key}`, `--nats-ca=${other}`);
  assert.is(notPem.code, 1);
  assert.is(
    notPem.stderr,
    `--nats-ca: ${other} holds no certificate in PEM ("-----BEGIN CERTIFICATE-----")\n`,
  );
  assert.is(notPem.stdout, "", "and nowhere else");
  await chmod(key, 0o640);
  const open = await serve(`--goal-key=${key}`);
  assert.is(open.code, 1);
  assert.match(open.stderr, /^--goal-key: .*open-key .*\(mode 0640\): chmod 600 .*\n$/);
});

test("a database that no Postgres is at is refused at once, and no password is told", async () => {
  for (const url of [
    "mysql://ada:hush@db/slipway",
    "db.example/slipway",
    "postgres//ada:hush@db",
  ]) {
    const { code, stderr } = await serve(`--database-url=${url}`);
    assert.is(code, 2);
    assert.match(stderr, /^--database-url must be postgres:\/\/USER:PASSWORD@HOST/);
    assert.not.match(stderr, /hush/);
    const made = await run("token", "create", `--database-url=${url}`, "--name=a", "--role=admin");
    assert.is(made.code, 2);
  }
});

test("whatever is wrong with a file, the option that named it is told", async () => {
  const [key, other] = [path.join(dir, "good.key"), path.join(dir, "other")];
  assert.is((await run("keygen", "--out", key)).code, 0);
  await writeFile(other, "nothing", { mode: 0o600 });
  const goalKey = `--goal-key=${key}`;
  for (const [args, reason] of [
    [
      [`--nats-issuer=${other}`, `--membership-key=${key}`],
      /^--nats-issuer: .*other is no JSON\n$/,
    ],
    [[`--nats-credentials=${other}`], /^--nats-credentials: .*other holds no NATS credentials/],
    [[`--key-set=${other}`], /^--key-set: .*other: the signed key set cannot be decoded/],
    [[`--membership-key=${other}`], /^--membership-key: .*other/],
  ] as const) {
    const { code, stderr } = await serve(goalKey, "--listen=127.0.0.1:0", ...args);
    assert.is(code, 1);
    assert.match(stderr, reason);
  }
});

test("two options that name one database are refused, and no password is told", async () => {
  for (const other of [
    "postgres://bob:hush@127.0.0.1:1/a",
    "postgresql://localhost:1/a?application_name=x",
  ]) {
    const { code, stderr } = await serve(`--replication-database-url=${other}`);
    assert.is(code, 2);
    assert.match(stderr, /^--replication-database-url names the same database as --database-url/);
    assert.not.match(stderr, /hush/);
  }
});

test("certificates that can't be used are told before anything else is begun", async () => {
  const key = path.join(dir, "tls-key");
  assert.is((await run("keygen", "--out", key)).code, 0);
  const { code, stderr } = await serve(
    `--goal-key=${key}`,
    `--tls-cert=${key}`,
    `--tls-key=${key}`,
  );
  assert.is(code, 1);
  assert.match(stderr, /^--tls-cert: .*tls-key holds no certificate in PEM/);
});

test("a private key in a public one's place is told by its file, and none is quoted", async () => {
  const key = path.join(dir, "swapped");
  assert.is((await run("keygen", "--out", key)).code, 0);
  const swapped = ["--listen=127.0.0.1:0", `--key-set=${key}`, `--root-public-key=${key}`];
  const asPublic = await serve(`--goal-key=${key}`, ...swapped);
  assert.is(asPublic.code, 1);
  assert.match(
    asPublic.stderr,
    /root public key .*swapped is not a public key in PEM: it is a private/,
  );
  const asPrivate = await serve(`--goal-key=${key}.pub`);
  assert.is(asPrivate.code, 1);
  assert.match(asPrivate.stderr, /goal key .*swapped\.pub is not a private key in PEM/);
});

test("no token is made that could not be written down, and no empty file is left", async () => {
  const asked = ["--database-url=postgres://127.0.0.1:1/a", "--name=ada", "--role=admin"];
  const create = (file: string) => run("token", "create", ...asked, `--out=${file}`);
  const taken = path.join(dir, "taken.token");
  await writeFile(taken, "mine");
  // The database was not asked: it would have been the reason.
  const refused = await create(taken);
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /taken\.token is there already; name another file/);
  assert.is(await readFile(taken, "utf8"), "mine");
  const unmade = await create(path.join(dir, "unmade.token"));
  assert.is(unmade.code, 1);
  assert.match(unmade.stderr, /ECONNREFUSED/);
  assert.is((await readdir(dir)).includes("unmade.token"), false);
});

test("a region's token that is limited to no region is warned of", async () => {
  const asked = ["--database-url=postgres://127.0.0.1:1/a", "--name=r", "--role=region"];
  const warning = /^warning: without --region the token is good for every region/;
  assert.match((await run("token", "create", ...asked)).stderr, warning);
  assert.not.match((await run("token", "create", ...asked, "--region=eu")).stderr, warning);
});

test("what can't be reached is tried until the deadline, then told plainly", async () => {
  let tries = 0;
  const options = {
    deadline: Date.now() + 700,
    signal: new AbortController().signal,
    log: silent,
  };
  const result = await retryUntil("connecting to NATS", options, () => {
    tries += 1;
    return Promise.reject(new Error("CONNECTION_REFUSED"));
  }).catch((error: unknown) => error);
  assert.is((result as Error).message, "connecting to NATS failed: CONNECTION_REFUSED");
  assert.ok(tries >= 2);
});

test("addresses", () => {
  assert.equal(parseListenAddress("127.0.0.1:7700"), { host: "127.0.0.1", port: 7700 });
  assert.equal(parseListenAddress("[::1]:0"), { host: "::1", port: 0 });
  for (const bad of ["", ":1", "a", "a:", "a:b", "a:65536", "::1:80", "a b:1"]) {
    assert.throws(() => parseListenAddress(bad), /not an address/);
  }
});

test("only loopback, unless it is to be insecure", () => {
  const base = {
    databaseUrl: "postgres://a",
    replicationDatabaseUrl: "postgres://b",
    natsUrls: [],
    goalKeyFile: "",
  };
  const listenOn = (host: string, authentication: "tokens" | "none") => () =>
    resolveConfig({ ...base, listen: { host, port: 1 }, authentication });
  for (const host of ["127.0.0.1", "127.8.8.8", "::1", "localhost"]) listenOn(host, "tokens")();
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.evil.example"]) {
    assert.throws(listenOn(host, "tokens"), /refusing to listen/);
    listenOn(host, "none")();
  }
});

test.run();
