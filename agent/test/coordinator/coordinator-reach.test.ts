import { Metadata, status } from "@grpc/grpc-js";
import { setErrorDetails } from "@slipway/proto";
import { pino } from "pino";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CoordinatorReach } from "../../src/coordinator/coordinator-reach.js";

const START = 1_700_000_000_000;

interface Line {
  level: number;
  msg: string;
  reason?: string;
  suppressed?: number;
  err?: { stack: string };
}

/** What a log says of calls, with a clock of its own. */
function create() {
  let now = START;
  const said: Line[] = [];
  const log = pino({ base: null }, { write: (line) => void said.push(JSON.parse(line) as Line) });
  const reach = new CoordinatorReach(log, () => now);
  return { reach, said, pass: (ms: number) => (now += ms) };
}

/** As gRPC gives it; with a reason it was a coordinator that said it. */
function failure(code: number, details: string, reason = ""): Error {
  const metadata = new Metadata();
  if (reason !== "") setErrorDetails(metadata, code, details, { reason, violations: [] });
  return Object.assign(new Error(`${code}: ${details}`), { code, details, metadata });
}

const nobody = failure(status.UNAVAILABLE, "No connection established");
const revoked = failure(status.UNAUTHENTICATED, "the token was revoked", "TOKEN_REVOKED");

test("a coordinator that is away is told once, every 20 s with a count, and when it is back", () => {
  const { reach, said, pass } = create();
  for (const loop of ["hosts cannot be enrolled yet", "targets cannot be watched"]) {
    for (let n = 0; n < 3; n += 1) reach.failed(nobody, loop);
  }
  assert.equal(
    said.map(({ msg, reason, suppressed, err }) => [msg, reason, suppressed, err]),
    [["hosts cannot be enrolled yet", "No connection established", 0, undefined]],
  );
  pass(20_000);
  reach.failed(
    failure(status.DEADLINE_EXCEEDED, "Deadline exceeded"),
    "hosts cannot be enrolled yet",
  );
  assert.equal([said.length, said[1]?.suppressed], [2, 5]);
  reach.answered();
  reach.answered();
  assert.equal([said.length, said[2]?.msg], [3, "a coordinator answers again"]);
  reach.failed(nobody, "hosts cannot be enrolled yet");
  assert.is(said.length, 4, "the next outage is told at once");
});

test("since when none can be reached is said once it is no restart", () => {
  const { reach, pass } = create();
  reach.failed(nobody, "x");
  assert.is(reach.awaySince, undefined);
  pass(5_000);
  reach.failed(nobody, "x");
  assert.equal(reach.awaySince, new Date(START));
  reach.failed(revoked, "x");
  assert.is(reach.awaySince, undefined, "who refuses is there");
  reach.failed(nobody, "x");
  reach.answered();
  pass(60_000);
  assert.is(reach.awaySince, undefined);
});

test("a refusal is told by its reason, without a stack, and each by itself", () => {
  const { reach, said, pass } = create();
  for (let n = 0; n < 6; n += 1) reach.failed(revoked, "hosts cannot be enrolled yet");
  reach.failed(failure(status.UNAVAILABLE, "Postgres is away", "DATABASE_UNAVAILABLE"), "x");
  // Other calls are let in meanwhile.
  reach.answered();
  pass(19_999);
  reach.failed(revoked, "hosts cannot be enrolled yet");
  assert.equal(
    said.map(({ reason, err }) => [reason, err]),
    [
      ["the token was revoked", undefined],
      ["Postgres is away", undefined],
    ],
  );
  pass(1);
  reach.failed(revoked, "hosts cannot be enrolled yet");
  assert.is(said[2]?.suppressed, 6);
});

test("what is neither is told each time, with its stack", () => {
  const { reach, said } = create();
  for (let n = 0; n < 2; n += 1) reach.failed(new TypeError("a bug"), "x", { digest: "d" });
  assert.equal([said.length, said[0]?.level], [2, 40]);
  assert.match(said[0]?.err?.stack ?? "", "TypeError: a bug");
  assert.is(reach.awaySince, undefined);
});

test.run();
