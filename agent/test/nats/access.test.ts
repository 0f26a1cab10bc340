import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nameOf, NatsCredentialsError, userOf } from "../../src/nats/access.js";

const test = suite("users of NATS");
let file: string;
test.before(async () => {
  file = path.join(await mkdtemp(path.join(tmpdir(), "slipway-nats-access-")), "some.creds");
});
test.after(() => rm(path.dirname(file), { recursive: true, force: true }));

const jwtOf = (claims: object): string =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
const creds = (jwt: string): string =>
  `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\nKeep it.\n\n` +
  "-----BEGIN USER NKEY SEED-----\nSUABC\n------END USER NKEY SEED------\n";
const nobody = () => ({});

test("reads the file anew each time, and keeps what it had while there is nothing better", async () => {
  const [first, second] = [jwtOf({ name: "eu-1" }), jwtOf({ name: "eu-1", exp: 2 })];
  await writeFile(file, creds(first));
  const user = userOf(file, nobody);
  assert.equal(user(), { jwt: first, seed: "SUABC" });
  await writeFile(file, creds(second));
  assert.is(user()?.jwt, second);
  await writeFile(file, creds(second).slice(0, 40));
  assert.is(user()?.jwt, second);
  await rm(file);
  assert.is(user()?.jwt, second);
});

test("refuses what is no credentials at the start", async () => {
  const table: [string, RegExp][] = [
    ["", /holds no NATS credentials/],
    [creds("e30.e30"), /has no name/],
    [creds("x"), /cannot be read/],
  ];
  for (const [text, reason] of table) {
    await writeFile(file, text);
    assert.throws(
      () => userOf(file, nobody),
      (error: unknown) => error instanceof NatsCredentialsError && reason.test(error.message),
      text,
    );
  }
  await rm(file);
  assert.throws(() => userOf(file, nobody), /some\.creds cannot be read: ENOENT/);
});

test("shows without a file what the member was granted last", () => {
  let granted: { natsSeed?: string; natsJwt?: string } = { natsSeed: "SUABC" };
  const user = userOf(undefined, () => granted);
  assert.is(user(), undefined);
  granted = { natsSeed: "SUABC", natsJwt: jwtOf({ name: "eu-1" }) };
  const shown = user();
  assert.ok(shown);
  assert.is(nameOf(shown), "eu-1");
});

test.run();
