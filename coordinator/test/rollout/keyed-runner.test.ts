import { pino } from "pino";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { KeyedRunner } from "../../src/rollout/keyed-runner.js";

const log = pino({ level: "silent" });

/** Runs that end when they are told to. */
function create(concurrency: number) {
  const running: string[] = [];
  const ends = new Map<string, () => void>();
  const started: string[] = [];
  let wake: (() => void) | undefined;
  const runner = new KeyedRunner(
    (key) => {
      running.push(key);
      started.push(key);
      wake?.();
      return new Promise((resolve) => {
        ends.set(key, () => {
          running.splice(running.indexOf(key), 1);
          resolve();
        });
      });
    },
    { concurrency, spacingMs: 1, log },
  );
  const nextStart = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  const end = (key: string): void => ends.get(key)?.();
  return { runner, running, started, nextStart, end };
}

test("a key never runs twice at once, and once more if it was kicked meanwhile", async () => {
  const { runner, running, started, nextStart, end } = create(4);
  runner.kick("a");
  runner.kick("a");
  runner.kick("a");
  assert.equal(running, ["a"]);
  const again = nextStart();
  end("a");
  await again;
  assert.equal(started, ["a", "a"]);
  end("a");
  await runner.stop();
  assert.equal(started, ["a", "a"]);
});

test("keys do not wait for each other, up to the concurrency", async () => {
  const { runner, running, nextStart, end } = create(2);
  for (const key of ["a", "b", "c"]) runner.kick(key);
  assert.equal(running, ["a", "b"]);
  const next = nextStart();
  end("b");
  await next;
  assert.equal(running, ["a", "c"]);
  end("a");
  end("c");
  await runner.stop();
});

test("a run that fails is not the last", async () => {
  let runs = 0;
  let done: (() => void) | undefined;
  const twice = new Promise<void>((resolve) => (done = resolve));
  const runner = new KeyedRunner(
    () => {
      runs += 1;
      if (runs === 2) done?.();
      return Promise.reject(new Error("no"));
    },
    { concurrency: 1, spacingMs: 1, log },
  );
  runner.kick("a");
  runner.kick("a");
  await new Promise((resolve) => setImmediate(resolve));
  runner.kick("a");
  await twice;
  await runner.stop();
  runner.kick("a");
  assert.is(runs, 2);
});

test.run();
