import { test } from "uvu";
import * as assert from "uvu/assert";
import { Watcher, type Outlet, type Update } from "../../src/rollout/watcher.js";

const forever = new AbortController().signal;

const update = (revision: number, final = false): Update => ({
  bytes: Buffer.from(`${revision}`),
  revision,
  final,
});

/** Where bytes go while `hasRoom`. */
class Sent implements Outlet {
  hasRoom = true;
  onRoom: () => void = () => undefined;
  readonly all: string[] = [];

  send(bytes: Buffer): void {
    this.all.push(bytes.toString());
  }

  makeRoom(): void {
    this.hasRoom = true;
    this.onRoom();
  }
}

test("who reads is sent each update, at once", () => {
  const sent = new Sent();
  const watcher = new Watcher(sent, 0, forever);
  watcher.tell(update(1));
  watcher.tell(update(2));
  watcher.tell(update(2));
  assert.equal(sent.all, ["1", "2", "2"], "a later one of the same revision has other counts");
});

test("who does not read is sent the newest when it does, and nothing twice", () => {
  const sent = new Sent();
  const watcher = new Watcher(sent, 0, forever);
  sent.hasRoom = false;
  watcher.tell(update(1));
  for (let revision = 2; revision <= 1_000; revision += 1) watcher.tell(update(revision));
  assert.equal(sent.all, []);
  sent.makeRoom();
  sent.makeRoom();
  assert.equal(sent.all, ["1000"]);
});

test("the first is not sent to who has it; what follows is, although it is of the same revision", () => {
  const sent = new Sent();
  const watcher = new Watcher(sent, 3, forever);
  watcher.tell(update(3));
  assert.equal(sent.all, []);
  watcher.tell(update(3));
  assert.equal(sent.all, ["3"]);
});

test("no update is sent twice", () => {
  const sent = new Sent();
  const watcher = new Watcher(sent, 0, forever);
  const present = update(5);
  watcher.tell(present);
  watcher.tell(present);
  assert.equal(sent.all, ["5"]);
});

test("it ends when the final state was sent, or is known", async () => {
  const sent = new Sent();
  const watcher = new Watcher(sent, 0, forever);
  let isOver = false;
  const ended = watcher.ended.then(() => (isOver = true));
  sent.hasRoom = false;
  watcher.tell(update(7, true));
  await Promise.resolve();
  assert.not(isOver);
  sent.makeRoom();
  await ended;
  assert.equal(sent.all, ["7"]);

  const known = new Watcher(new Sent(), 7, forever);
  known.tell(update(7, true));
  await known.ended;
});

test("nothing is sent once it is over", () => {
  const sent = new Sent();
  const controller = new AbortController();
  const watcher = new Watcher(sent, 0, controller.signal);
  watcher.ended.catch(() => undefined);
  sent.hasRoom = false;
  watcher.tell(update(1));
  controller.abort(new Error("over"));
  sent.makeRoom();
  watcher.tell(update(2));
  assert.equal(sent.all, []);
});

test("the signal ends it with its reason, before and after it began; so does a failure", async () => {
  const controller = new AbortController();
  const before = new Watcher(new Sent(), 0, controller.signal);
  controller.abort(new Error("over"));
  const after = new Watcher(new Sent(), 0, controller.signal);
  const failed = new Watcher(new Sent(), 0, forever);
  failed.fail(new Error("unread"));
  const messages = await Promise.all(
    [before, after, failed].map(({ ended }) =>
      ended.then(
        () => "none",
        ({ message }: Error) => message,
      ),
    ),
  );
  assert.equal(messages, ["over", "over", "unread"]);
});

test.run();
