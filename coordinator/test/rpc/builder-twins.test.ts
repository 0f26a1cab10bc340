import { WorkHello } from "@slipway/proto";
import { pino } from "pino";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Context } from "../../src/context.js";
import { Outbox } from "../../src/rpc/builder/outbox.js";
import { BuilderSession } from "../../src/rpc/builder/session.js";
import { BuilderSessions } from "../../src/rpc/builder/sessions.js";

const onMachine = (machine: string) => ({ incarnation: machine, machine, address: "", pid: 7 });

function world() {
  const clock = { now: 0 };
  const sessions = new BuilderSessions(() => clock.now);
  const ended: string[] = [];
  const open = (machine: string, at: number) => {
    clock.now = at;
    return sessions.open("b1", ({ message }) => ended.push(message), onMachine(machine));
  };
  return { clock, sessions, ended, open };
}

test("a builder that is started again, or connects again, is one", () => {
  const { sessions, ended, open } = world();
  open("m1", 0)();
  open("m1", 20_000);
  // Its machine was cut off, and its stream with it.
  open("m2", 25_000);
  open("m2", 60_000);
  assert.is(sessions.twins, 0);
  assert.equal(sessions.tellTwins("b1"), []);
  assert.is(ended.length, 2);
});

test("two that take each other's place are told once a minute, and what the other is", () => {
  const { clock, sessions, ended, open } = world();
  for (let at = 0; at <= 8_000; at += 2_000) {
    open("m1", at);
    open("m2", at + 1_000);
  }
  assert.is(sessions.twins, 1);
  const told = sessions.tellTwins("b1").map(({ machine }) => machine);
  assert.equal(told.sort(), ["m1", "m2"]);
  assert.equal(sessions.tellTwins("b1"), []);
  assert.match(ended[0] ?? "", /b1 opened another stream from m2 \(process 7\)/);
  assert.is(sessions.size, 1);
  clock.now = 60_000;
  assert.is(sessions.twins, 0, "one of them was stopped");
});

test("what a builder says of itself is kept, and said to the other one, only in part", () => {
  const sessions = new BuilderSessions(() => 0);
  let message = "";
  sessions.open("b1", (error) => (message = error.message), onMachine("a"));
  sessions.open("b1", () => undefined, onMachine("x".repeat(1_000_000)));
  assert.ok(message.length < 500, `${message.length} characters`);
});

test("a hello that is heard once its stream is over ends no other stream", async () => {
  const builderSessions = new BuilderSessions(() => 0);
  const ended: Error[] = [];
  const provenance = { checkHello: () => undefined };
  const context = {
    builderSessions,
    provenance,
    log: pino({ level: "silent" }),
    queue: { release: () => Promise.resolve() },
  } as unknown as Context;
  const { signal } = new AbortController();
  const session = new BuilderSession(context, new Outbox(10), { signal, subject: "" });
  await session.close();
  builderSessions.open("b1", (error) => ended.push(error), onMachine("m1"));
  const process = onMachine("m1");
  const hello = { builderId: "b1", platform: "linux/amd64", signsProvenance: false, process };
  await session.handle({ $case: "hello", value: WorkHello.fromPartial(hello) });
  assert.equal(ended, []);
  assert.is(builderSessions.size, 1);
});

test.run();
