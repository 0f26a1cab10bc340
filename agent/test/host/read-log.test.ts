import { appendFile, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  ERROR_HEADER,
  HostPhase,
  hostLogRequestSubject,
  ReadHostLogRequest,
  ReadHostLogResponse,
} from "@slipway/proto";
import { freePort, startNats } from "@slipway/examples/servers";
import * as fc from "fast-check";
import { connect } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LogFile } from "../../src/host/log-file.js";
import { LogRequests } from "../../src/host/log-requests.js";
import { readLog } from "../../src/host/read-log.js";
import { NatsLink } from "../../src/nats/link.js";
import { eventually, log, makeGoal, serviceScript, temporaryFolder, TestHost } from "./fixtures.js";

interface Context {
  folder: string;
  remove: () => Promise<void>;
}

const test = suite<Context>("reading a release's log");
test.before.each(async (context) => {
  Object.assign(context, await temporaryFolder());
});
test.after.each((context) => context.remove());

const text = async (file: LogFile, position = "", maxBytes = 1_000) => {
  const read = await readLog(file, position, maxBytes);
  return { ...read, content: read.content.toString() };
};

test("begins at the end, goes on from there, and keeps back what has no end yet", async ({
  folder,
}) => {
  const file = new LogFile(folder);
  assert.equal((await text(file)).content, "");
  await writeFile(file.path, "one\ntwo\nthr");
  const all = await text(file);
  assert.equal([all.content, all.gap], ["one\ntwo\n", false]);
  assert.is((await text(file, "", 8)).content, "two\n", "no part of a line");
  assert.is((await text(file, "", 7)).content, "two\n", "a whole line that just fits");
  assert.is((await text(file, all.position)).content, "");
  await appendFile(file.path, "ee\nfour\n");
  const more = await text(file, all.position);
  assert.is(more.content, "three\nfour\n");
  assert.equal(await text(file, more.position), {
    content: "",
    position: more.position,
    gap: false,
  });
  await appendFile(file.path, `${"x".repeat(25)}\nlast\n`);
  const pieces: string[] = [];
  for (let { position } = more; ;) {
    const read = await text(file, position, 10);
    if (read.content === "") break;
    pieces.push(read.content);
    ({ position } = read);
  }
  assert.equal(pieces, ["x".repeat(10), "x".repeat(10), "xxxxx\n", "last\n"]);
  const bad = await readLog(file, "x", 10).catch((error: Error) => error.name);
  assert.is(bad, "LogPositionError");
});

test("goes on over rotations, and says so when something is gone", async ({ folder }) => {
  const bounds = { fileBytes: 20, files: 3 };
  let file = new LogFile(folder, bounds);
  await writeFile(file.path, "a1\na2\na3\na4\na5\na6\na7\na");
  const first = await text(file, "", 9);
  assert.is(first.content, "a6\na7\n");
  assert.ok(await file.rotate());
  await appendFile(file.path, "8\nb1\n");
  assert.is((await text(file, first.position)).content, "a8\nb1\n", "over the boundary");
  // The next agent knows where the files stand.
  file = new LogFile(folder, bounds);
  assert.is((await text(file, first.position)).content, "a8\nb1\n");
  await appendFile(file.path, "b2\nb3\nb4\nb5\nb6\nb7\n");
  assert.ok(await file.rotate());
  await appendFile(file.path, "c".repeat(41) + "\nc2\n");
  assert.ok(await file.rotate(), "of which only the end is kept");
  const over = await text(file, first.position);
  assert.equal([over.content, over.gap], ["b1\nb2\nb3\nb4\nb5\nb6\nb7\n", true]);
  const hole = await text(file, over.position);
  assert.equal([hole.content, hole.gap], ["c2\n", true]);
  // A log that came to be in its place.
  await rm(folder, { recursive: true });
  await mkdir(folder);
  const other = new LogFile(folder, bounds);
  await writeFile(other.path, "new\n");
  const anew = await text(other, hole.position);
  assert.equal([anew.content, anew.gap], ["new\n", true]);
});

test("whatever is written, rotated and read, no line is told twice or out of order", async ({
  folder,
}) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ write: fc.integer({ min: 1, max: 30 }) }),
      fc.constant("rotate" as const),
      fc.record({ read: fc.integer({ min: 40, max: 200 }) }),
    ),
    { maxLength: 40 },
  );
  let round = 0;
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      round += 1;
      const own = path.join(folder, String(round));
      await mkdir(own);
      const file = new LogFile(own, { fileBytes: 60, files: 4 });
      await writeFile(file.path, "");
      let written = 0;
      let seen = 0;
      let { position } = await readLog(file, "", 100);
      const take = async (maxBytes: number): Promise<boolean> => {
        const read = await text(file, position, maxBytes);
        ({ position } = read);
        const lines = read.content.split("\n").slice(0, -1);
        for (const line of lines) {
          const at = Number(/^line (\d+)$/.exec(line)?.[1]);
          assert.ok(at > seen && (read.gap || at === seen + 1), `${line} after ${seen}`);
          seen = at;
          read.gap = false;
        }
        return lines.length > 0;
      };
      for (const step of sequence) {
        if (step === "rotate") await file.rotate();
        else if ("read" in step) await take(step.read);
        else {
          const lines = Array.from({ length: step.write }, () => `line ${(written += 1)}\n`);
          await appendFile(file.path, lines.join(""));
        }
      }
      while (await take(100));
      assert.ok(written === 0 || seen === written, `${seen} of ${written}`);
    }),
    { numRuns: 60 },
  );
});

test("is answered over NATS, and no name leads out of the folder", async ({ folder }) => {
  const nats = await startNats();
  const host = new TestHost(folder, await freePort());
  await host.applications.start();
  await host.obey(makeGoal(1, host.stager.add(serviceScript("v1"))));
  await host.reaches(1, HostPhase.RUNNING);
  await mkdir(path.join(folder, "secret", "logs"), { recursive: true });
  await writeFile(path.join(folder, "secret", "logs", "current.log"), "secret\n");
  const link = new NatsLink({ servers: [nats.url], name: "test", log });
  new LogRequests({
    link,
    region: "eu",
    hostId: "h1",
    read: (...request) => host.applications.readLog(...request),
    onTwins: () => undefined,
    log,
  }).start();
  link.start();
  const connection = await connect({ servers: nats.url });
  await eventually("a connection", () => link.connection !== undefined);
  await link.connection?.flush();
  const request = async (application: string, position = "") => {
    const data = ReadHostLogRequest.encode({ hostId: "h1", application, position, maxBytes: 0 });
    const answer = await connection.request(hostLogRequestSubject("eu", "h1"), data.finish(), {
      timeout: 5_000,
    });
    const error = answer.headers?.get(ERROR_HEADER) ?? "";
    return { error, ...ReadHostLogResponse.decode(answer.data) };
  };
  const answer = await request("web");
  assert.is(Buffer.from(answer.content).toString(), "serving v1\n");
  assert.match((await request("api")).error, /^NOT_FOUND: .*api/);
  assert.match((await request("../secret")).error, /^INVALID_ARGUMENT: /);
  assert.match((await request("web", "nowhere")).error, /^INVALID_ARGUMENT: /);
  // Of what is here no more it can still be read.
  await host.obey(makeGoal(2, { digest: "", size: 0 }, { removed: true, run: undefined }));
  await host.forgets();
  assert.equal(await request("web", answer.position), { ...answer, content: Buffer.alloc(0) });
  await connection.close();
  await link.stop();
  await host.applications.stop({ stopReleases: true });
  await nats.stop();
});

test.run();
