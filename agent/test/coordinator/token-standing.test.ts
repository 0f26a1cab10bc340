import { pino } from "pino";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TokenStanding } from "../../src/coordinator/token-standing.js";

const DAY_MS = 24 * 3_600_000;
const START = 1_700_000_000_000;

/** A standing with a clock of its own, and what it logged. */
function create() {
  let now = START;
  let present = "first";
  const said: { level: number; msg: string; expireTime?: string; reason?: string }[] = [];
  const log = pino({ base: null }, { write: (line) => void said.push(JSON.parse(line)) });
  const standing = new TokenStanding({
    file: "region.token",
    present: () => present,
    log,
    now: () => now,
  });
  return {
    standing,
    said,
    pass: (ms: number) => {
      now += ms;
      standing.look();
    },
    replace: (token: string) => (present = token),
  };
}

test("the end of a token is warned of for a week before, once a day", () => {
  const { standing, said, pass } = create();
  const expireTime = new Date(START + 8 * DAY_MS);
  standing.accepted("first", expireTime);
  assert.equal(standing.expireTime, expireTime);
  assert.is(said.length, 0, "there is time");
  pass(DAY_MS);
  assert.is(said.length, 1);
  assert.is(said[0]?.level, 40);
  assert.match(said[0]?.msg ?? "", /^the token ends soon: write the next one to its file/);
  assert.is(said[0]?.expireTime, expireTime.toISOString());
  standing.accepted("first", expireTime);
  pass(DAY_MS - 1);
  assert.is(said.length, 1);
  pass(1);
  assert.is(said.length, 2);
  standing.stop();
  standing.stop();
});

test("what is known of a token that was replaced is of no use", () => {
  const { standing, said, pass, replace } = create();
  standing.accepted("first", new Date(START + 8 * DAY_MS));
  replace("second");
  pass(2 * DAY_MS);
  assert.equal([standing.expireTime, said.length], [undefined, 0]);
  standing.accepted("second", new Date(START + 3 * DAY_MS));
  assert.is(said.length, 1, "the second ends soon, too");
  standing.stop();
});

test("that it is not let in is kept until it is, since the first time", () => {
  const { standing, said, pass } = create();
  assert.is(standing.refusal, undefined);
  standing.refused("first", "the token was revoked");
  pass(5_000);
  standing.refused("first", "the token was revoked");
  assert.equal(standing.refusal, { since: new Date(START), message: "the token was revoked" });
  standing.refused("second", "the token has expired");
  assert.equal(standing.refusal, { since: new Date(START), message: "the token has expired" });
  assert.equal(
    said.map(({ level, reason }) => [level, reason]),
    [
      [50, "the token was revoked"],
      [50, "the token has expired"],
    ],
  );
  standing.accepted("third");
  assert.is(standing.refusal, undefined);
  assert.is(said.at(-1)?.msg, "coordinators let this agent in again");
});

test.run();
