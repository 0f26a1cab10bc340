import { createHash } from "node:crypto";
import { once } from "node:events";
import { type FileHandle, open, readFile } from "node:fs/promises";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ChunkJob } from "../../src/store/chunk-job.js";
import { ChunkWriter, startThread } from "../../src/store/chunk-writer.js";
import { ChunkWriterError, errorCode } from "../../src/store/errors.js";
import { temporaryDirectory } from "./fixtures.js";

const test = suite<{ dir: string; data: FileHandle; log: FileHandle; remove(): Promise<void> }>(
  "chunk writer",
);
test.before.each(async (context) => {
  Object.assign(context, await temporaryDirectory());
  context.data = await open(path.join(context.dir, "data"), "w+");
  context.log = await open(path.join(context.dir, "log"), "a");
});
test.after.each(async (context) => {
  await Promise.all([context.data.close(), context.log.close()]);
  await context.remove();
});

function job(
  { data, log }: { data: FileHandle; log: FileHandle },
  bytes: Uint8Array,
  position = 0,
): ChunkJob {
  const hash = createHash("sha256").update(bytes).digest();
  return { hash, bytes, fd: data.fd, position, log: log.fd, entry: Buffer.from([position]) };
}

const own = Buffer.from("own");

test("writes what is right, and nothing else; here at first, then on its thread", async (context) => {
  const { writer, thread } = real();
  const own = Buffer.from("own memory");
  const shared = Buffer.from(new SharedArrayBuffer(100), 10, 6);
  shared.write("shared");
  const wrong = { ...job(context, own, 20), hash: Buffer.alloc(32) };
  assert.is(await writer.run(job(context, Buffer.from("here"), 17)), true);
  assert.is(await writer.run(wrong), false);
  await up(thread());
  const results = await Promise.all(
    [job(context, own, 1), wrong, job(context, shared, 11)].map((each) => writer.run(each)),
  );
  assert.equal(results, [true, false, true]);
  assert.is(await readFile(path.join(context.dir, "data"), "latin1"), "\0own memorysharedhere");
  assert.equal([...(await readFile(path.join(context.dir, "log")))], [17, 1, 11]);
  await writer.close();
});

test("few bytes are not worth the thread, many within a short time are", async (context) => {
  let starts = 0;
  const writer = new ChunkWriter(() => (starts++, threadThat("")), 3 * own.length);
  for (const [now, expected] of [
    [0, 0],
    [50, 0],
    [400, 0],
    [450, 0],
    [505, 0],
    [550, 0],
    [590, 1],
  ] as const) {
    assert.is(await writer.run(job(context, own), now), true);
    assert.is(starts, expected, `at ${now} ms`);
  }
  await writer.close();
});

test("a job that fails fails alone, with its code", async (context) => {
  const { writer, thread } = real();
  const bad = { ...job(context, own), fd: 999_999 };
  for (const where of ["here", "on the thread"]) {
    const [failed, good] = await Promise.allSettled([
      writer.run(bad),
      writer.run(job(context, own)),
    ]);
    assert.is(failed?.status === "rejected" && errorCode(failed.reason), "EBADF", where);
    assert.equal(good, { status: "fulfilled", value: true });
    if (where === "here") await up(thread());
  }
  await writer.close();
});

function real(): { writer: ChunkWriter; thread: () => Worker | undefined } {
  let thread: Worker | undefined;
  const writer = new ChunkWriter(() => (thread = startThread()), 0);
  return { writer, thread: () => thread };
}

/** A thread that says it is up, then does this with each message. */
const threadThat = (program: string): Worker =>
  new Worker(
    `const { parentPort } = require("node:worker_threads");
    parentPort.on("message", (jobs) => { ${program} });
    parentPort.postMessage([]);`,
    { eval: true },
  );

for (const [how, program] of Object.entries({
  throws: `throw new Error("broken")`,
  ends: `process.exit(3)`,
})) {
  test(`a thread that ${how} fails only those who wait for it`, async (context) => {
    const threads: Worker[] = [];
    const writer = new ChunkWriter(() => {
      const good = `parentPort.postMessage(jobs.map(({ id }) => ({ id, kind: "done", right: true })))`;
      const thread = threadThat(threads.length === 0 ? program : good);
      threads.push(thread);
      return thread;
    }, 0);
    assert.is(await writer.run(job(context, own)), true, "on this thread");
    await up(threads[0]);
    const lost = await Promise.allSettled([1, 2].map((at) => writer.run(job(context, own, at))));
    for (const { status, ...rest } of lost) {
      assert.is(status, "rejected");
      assert.instance("reason" in rest && rest.reason, ChunkWriterError);
    }
    assert.is(await writer.run(job(context, own)), true);
    await up(threads[1]);
    assert.is(await writer.run(job(context, own)), true);
    assert.is(threads.length, 2);
    await writer.close();
  });
}

test("close tells those who wait, and starts nothing", async (context) => {
  const threads: Worker[] = [];
  const silent = (): Worker => {
    threads.push(threadThat(""));
    return threads.at(-1) as Worker;
  };
  const unused = new ChunkWriter(silent, 0);
  await unused.close();
  assert.is(threads.length, 0);
  const writer = new ChunkWriter(silent, 0);
  assert.is(await writer.run(job(context, own)), true, "on this thread");
  await up(threads[0]);
  const sent = writer.run(job(context, own)).catch((error: unknown) => error);
  await new Promise((resolve) => setImmediate(resolve));
  const unsent = writer.run(job(context, own)).catch((error: unknown) => error);
  await Promise.all([writer.close(), writer.close()]);
  const late = writer.run(job(context, own)).catch((error: unknown) => error);
  for (const error of await Promise.all([sent, unsent, late])) {
    assert.instance(error, ChunkWriterError);
  }
  assert.is(threads.length, 1);
});

async function up(thread: Worker | undefined): Promise<void> {
  if (thread !== undefined) await once(thread, "message");
}

test.run();
