import { test } from "uvu";
import * as assert from "uvu/assert";
import { Endings, endOfJwt } from "../../src/files/index.js";

const DAY = 24 * 3_600_000;

const jwt = (claims: object): string =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;

function world(expireDay: number | undefined) {
  const said: [object, string][] = [];
  const at = { day: 0, expireDay, refreshed: 0 };
  const endings = new Endings(
    [
      {
        what: "credentials",
        expireTime: () => (at.expireDay === undefined ? undefined : new Date(at.expireDay * DAY)),
        refresh: () => {
          at.refreshed += 1;
          return Promise.reject(new Error("away"));
        },
        warning: "it ends",
      },
    ],
    { warn: (fields, text) => void said.push([fields, text]) },
    () => at.day * DAY,
  );
  const saidOn = async (day: number): Promise<number> => {
    at.day = day;
    const before = said.length;
    await endings.look();
    return said.length - before;
  };
  return { at, endings, said, saidOn };
}

test("an end is warned of once a day for 30 days before, and after", async () => {
  const { said, saidOn, at } = world(100);
  assert.is(await saidOn(69.9), 0);
  assert.is(at.refreshed, 0);
  assert.is(await saidOn(70), 1);
  assert.is(await saidOn(70.9), 0);
  assert.is(await saidOn(71), 1);
  assert.is(await saidOn(120), 1);
  assert.equal(said[0], [{ what: "credentials", expireTime: new Date(100 * DAY) }, "it ends"]);
});

test("another one that takes its place is quiet, and warned of in its own time", async () => {
  const { at, saidOn, endings } = world(100);
  assert.is(await saidOn(99), 1);
  at.expireDay = 465;
  assert.is(await saidOn(99.1), 0);
  assert.equal(endings.timestamps, { credentials: 465 * 86_400 });
  at.expireDay = 110;
  assert.is(await saidOn(99.2), 1);
});

test("what was replaced meanwhile is found before it is warned of", async () => {
  const said: string[] = [];
  let expireTime = new Date(10 * DAY);
  const refresh = () => {
    expireTime = new Date(400 * DAY);
    return Promise.resolve();
  };
  const ending = {
    what: "server_certificate",
    expireTime: () => expireTime,
    refresh,
    warning: "x",
  };
  const log = { warn: (_fields: object, text: string) => void said.push(text) };
  await new Endings([ending], log, () => 0).look();
  assert.equal(said, []);
});

test("nothing is said of what has no end, or is not known", async () => {
  const { saidOn, endings } = world(undefined);
  assert.is(await saidOn(1_000), 0);
  assert.equal(endings.timestamps, {});
  assert.equal(endOfJwt(jwt({ exp: 5 })), new Date(5_000));
  for (const none of [jwt({}), "", "x.y.z"]) assert.is(endOfJwt(none), undefined);
});

test.run();
