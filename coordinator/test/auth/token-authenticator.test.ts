import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Asked } from "../../src/auth/admission.js";
import { TokenAuthenticator } from "../../src/auth/token-authenticator.js";
import { createToken, listTokens, revokeToken, useToken } from "../../src/auth/token-store.js";
import { DomainError } from "../../src/errors.js";
import { EventBus } from "../../src/events.js";
import { Stats } from "../../src/stats.js";
import { eventually, openTestDatabase, silent, type TestDatabase } from "../postgres.js";
import { bearer, makeToken } from "./tokens.js";

const test = suite("tokens");
const BY = { actor: "a test", reason: "" };
const running: TokenAuthenticator[] = [];
let database: TestDatabase;
test.before(async () => {
  database = await openTestDatabase();
});
test.after.each(async () => {
  for (const each of running.splice(0)) await each.stop();
});
test.after(() => database?.close());

const ask = (text: string | undefined, peer = "10.0.0.1:1"): Asked<unknown> => ({
  method: "/slipway.v1.BuildService/GetBuild",
  metadata: bearer(text),
  peer,
  request: undefined,
});

/** An authenticator on a clock that the test moves. */
function open() {
  const time = { now: Date.now() };
  const stats = new Stats();
  const events = new EventBus(silent);
  const clock = { now: () => time.now };
  const { db } = database;
  const authenticator = new TokenAuthenticator({ db, events, clock, log: silent, stats });
  running.push(authenticator);
  const reasonOf = async (text: string | undefined, peer?: string): Promise<string> => {
    try {
      await authenticator.authenticate(ask(text, peer));
      return "";
    } catch (error) {
      assert.instance(error, DomainError);
      return (error as DomainError).reason;
    }
  };
  return { authenticator, reasonOf, time, stats, events };
}
const audited = async (tokenId: string): Promise<{ action: string; message: string }[]> =>
  database.db("audit_entries").where({ token_id: tokenId }).select("action", "message");

test("a token's text is kept nowhere, and a look-up holds for the calls after it", async () => {
  const { authenticator } = open();
  const expireTime = new Date(Date.now() + 60_000);
  const terms = { applications: ["shop"], expireTime };
  const { id, text } = await makeToken(database.db, "deployer", terms);
  assert.match(text, /^slipway_[0-9a-f]{24}_[A-Za-z0-9_-]{43}$/);
  const row: unknown = await database.db("tokens").where({ id }).first();
  assert.not.ok(JSON.stringify(row).includes(text.slice(33)));
  const found = await authenticator.authenticate(ask(text));
  assert.equal(found, {
    tokenId: id,
    name: "the deployer",
    role: "deployer",
    applications: ["shop"],
    region: "",
    subject: "",
    expireTime,
  });
  assert.not.instance(authenticator.authenticate(ask(text)), Promise);
});

test("those in use that end soon are known, but for those to enrol", async () => {
  const { authenticator, reasonOf, time } = open();
  const until = (ms: number) => ({ expireTime: new Date(time.now + ms) });
  const made = [
    await makeToken(database.db, "builder", { name: "second", ...until(20_000) }),
    await makeToken(database.db, "region", { name: "first", region: "eu", ...until(10_000) }),
    await makeToken(database.db, "viewer", { name: "later", ...until(30_001) }),
    await makeToken(database.db, "viewer", { name: "endless", expireTime: null }),
    await makeToken(database.db, "enrol", { name: "rack", ...until(10_000) }),
  ];
  for (const { text } of made) assert.is(await reasonOf(text), "");
  await makeToken(database.db, "viewer", { name: "unused", ...until(10_000) });
  assert.equal(
    authenticator
      .ending(30_000)
      .map(({ name, role, expireTime }) => [name, role, Number(expireTime)]),
    [
      ["first", "region", time.now + 10_000],
      ["second", "builder", time.now + 20_000],
    ],
  );
});

test("what is no token, an unknown one and a wrong secret are refused and counted", async () => {
  const { reasonOf, stats } = open();
  const { text } = await makeToken(database.db, "viewer");
  const wrong = `${text.slice(0, -1)}${text.endsWith("A") ? "B" : "A"}`;
  assert.is(await reasonOf(undefined), "TOKEN_MISSING");
  assert.is(await reasonOf("nonsense"), "TOKEN_MALFORMED");
  assert.is(await reasonOf(text.replace(/[0-9a-f]{24}/, "0".repeat(24))), "TOKEN_UNKNOWN");
  assert.is(await reasonOf(wrong), "TOKEN_UNKNOWN");
  assert.is(await reasonOf(text), "");
  assert.is(await reasonOf(wrong), "TOKEN_UNKNOWN", "also while it is remembered");
  const { missing, malformed, unknown } = stats.authFailures.counts;
  assert.equal([missing, malformed, unknown], [1, 1, 3]);
});

test("an expired token is refused from its last moment on, and audited", async () => {
  const { reasonOf, time } = open();
  const expireTime = new Date(time.now + 2_000);
  const { id, text } = await makeToken(database.db, "viewer", { expireTime });
  assert.is(await reasonOf(text), "");
  time.now += 2_000;
  assert.is(await reasonOf(text), "TOKEN_EXPIRED", "although it was looked up just before");
  const [entry] = await eventually(async () => {
    const entries = await audited(id);
    return entries.length > 0 ? entries : undefined;
  });
  assert.is(entry?.action, "token.refused");
  assert.match(entry?.message ?? "", /GetBuild: the token has expired/);
});

test("a revoked token is refused at once where it is told, and 5 s later everywhere", async () => {
  const told = open();
  const untold = open();
  told.authenticator.start();
  const { id, text } = await makeToken(database.db, "viewer");
  assert.is(await told.reasonOf(text), "");
  assert.is(await untold.reasonOf(text), "");
  assert.ok(await revokeToken(database.db, id, BY));
  assert.not.ok(await revokeToken(database.db, id, BY), "the same again changes nothing");
  told.events.publish({ kind: "token", id });
  await eventually(async () => (await told.reasonOf(text)) === "TOKEN_REVOKED" || undefined, 4_000);
  untold.time.now += 5_000;
  assert.is(await untold.reasonOf(text), "TOKEN_REVOKED");
});

test("calls in progress end with their token", async () => {
  const { authenticator, events } = open();
  authenticator.start();
  const { id, text } = await makeToken(database.db, "viewer");
  const identity = await authenticator.authenticate(ask(text));
  const ended: string[] = [];
  authenticator.follow(identity, (error) => ended.push((error as DomainError).reason));
  authenticator.follow(identity, () => ended.push("no more followed"))();
  await revokeToken(database.db, id, BY);
  events.publish({ kind: "token", id });
  await eventually(() => ended.length > 0 || undefined);
  assert.equal(ended, ["TOKEN_REVOKED"]);
});

test("an address that fails ten times waits, but for a token that is known", async () => {
  const { reasonOf, time, stats } = open();
  const known = await makeToken(database.db, "viewer");
  const fresh = await makeToken(database.db, "viewer");
  assert.is(await reasonOf(known.text), "");
  for (let count = 0; count < 10; count += 1) assert.is(await reasonOf("x"), "TOKEN_MALFORMED");
  assert.is(await reasonOf("x"), "TOO_MANY_AUTH_FAILURES");
  assert.is(await reasonOf(fresh.text), "TOO_MANY_AUTH_FAILURES", "nothing is looked up for it");
  assert.is(await reasonOf(fresh.text, "10.0.0.2:1"), "", "another address");
  assert.is(await reasonOf(known.text), "");
  assert.is(stats.authFailures.counts.limited, 2);
  time.now += 60_000;
  assert.is(await reasonOf(fresh.text), "");
});

test("whoever fails shuts nobody out who was here before and comes back", async () => {
  const { authenticator, reasonOf, time } = open();
  const [known, gone] = [
    await makeToken(database.db, "viewer"),
    await makeToken(database.db, "viewer"),
  ];
  for (const { text } of [known, gone]) assert.is(await reasonOf(text), "");
  // Until they are forgotten, as nobody uses them.
  time.now += 11_000;
  authenticator.start();
  await authenticator.stop();
  await revokeToken(database.db, gone.id, BY);
  for (let count = 0; count < 10; count += 1) await reasonOf("x");
  assert.is(await reasonOf("x"), "TOO_MANY_AUTH_FAILURES");
  assert.is(await reasonOf(known.text), "");
  assert.is(await reasonOf(gone.text), "TOKEN_REVOKED");
  time.now += 6_000;
  assert.is(await reasonOf(gone.text), "TOO_MANY_AUTH_FAILURES", "and now that is known");
});

test("an agent with a token that has ended shuts out nobody at its address", async () => {
  const { reasonOf, time, stats } = open();
  const ending = await makeToken(database.db, "builder", {
    expireTime: new Date(time.now + 1_000),
  });
  const revoked = await makeToken(database.db, "builder");
  await revokeToken(database.db, revoked.id, BY);
  const newcomer = await makeToken(database.db, "admin");
  time.now += 1_000;
  for (let i = 0; i < 15; i += 1) {
    assert.is(await reasonOf(ending.text), "TOKEN_EXPIRED");
    assert.is(await reasonOf(revoked.text), "TOKEN_REVOKED");
  }
  assert.is(await reasonOf(newcomer.text), "");
  assert.is(stats.authFailures.counts.expired, 15);
  // Its secret guessed wrong is a failure like any.
  const guess = `${revoked.text.slice(0, -1)}${revoked.text.endsWith("A") ? "B" : "A"}`;
  for (let i = 0; i < 10; i += 1) assert.is(await reasonOf(guess), "TOKEN_UNKNOWN");
  assert.is(await reasonOf(guess), "TOO_MANY_AUTH_FAILURES");
});

test("whoever brings bad tokens keeps no member at its address from renewing", async () => {
  const { authenticator, reasonOf } = open();
  for (let count = 0; count < 10; count += 1) await reasonOf("x");
  assert.is(await reasonOf("x"), "TOO_MANY_AUTH_FAILURES");
  const renewal = ask(undefined);
  assert.is(authenticator.admitStranger(renewal).role, "nobody");
  for (let count = 0; count < 10; count += 1) authenticator.failed(renewal);
  assert.throws(() => authenticator.admitStranger(renewal), /too many calls/);
});

test("an enrolment token is used as often as it says", async () => {
  const { id } = await makeToken(database.db, "enrol", { maxUses: 2 });
  const use = (): Promise<string> =>
    database.db
      .transaction((trx) => useToken(trx, id))
      .then(
        () => "",
        (error: unknown) => (error as DomainError).reason,
      );
  const results = await Promise.all([use(), use(), use(), use()]);
  assert.equal(results.sort(), ["", "", "TOKEN_USED_UP", "TOKEN_USED_UP"]);
});

test("listed newest first, without those that have ended unless asked", async () => {
  const { id } = await makeToken(database.db, "viewer", { expireTime: new Date(Date.now() - 1) });
  const all = await listTokens(database.db, { before: undefined, limit: 100, includeEnded: true });
  const live = await listTokens(database.db, {
    before: undefined,
    limit: 100,
    includeEnded: false,
  });
  assert.is(all[0]?.id, id);
  assert.ok(live.length > 0 && live.every((token) => token.id !== id));
  const rest = await listTokens(database.db, {
    before: { time: all[0]?.createTime ?? new Date(0), id },
    limit: 100,
    includeEnded: true,
  });
  assert.equal(
    rest.map((token) => token.id),
    all.slice(1).map((token) => token.id),
  );
});

test("names and limits hold what looks like SQL or a log line as it is", async () => {
  const name = `'); drop table tokens; -- "}`;
  const terms = {
    name,
    role: "viewer",
    applications: ["shop"],
    region: "",
    subject: "",
    memberRole: null,
    maxUses: 0,
    allowRejoin: false,
    expireTime: null,
  } as const;
  const { token } = await createToken(database.db, terms, BY);
  assert.is(token.name, name);
  const [entry] = await database
    .db("audit_entries")
    .where({ action: "token.create" })
    .whereLike("message", `%${token.id}%`);
  assert.ok((entry as { message: string }).message.includes(name));
});

test.run();
