import { status } from "@grpc/grpc-js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createClient, type HostLogPart, type SlipwayError } from "../src/index.js";
import { Refusal, ScriptedServer } from "./support/scripted-server.js";
import { collect, rejection } from "./support/signal.js";

const test = suite<{ closers: (() => unknown)[] }>("host log", { closers: [] });

test.after.each(async ({ closers }) => {
  for (const close of closers.splice(0)) await close();
});

/** A host whose log these are the parts of; a part that is an error is one. */
async function start(closers: (() => unknown)[], parts: (string | Refusal)[]) {
  const queue = [...parts];
  let end = 0;
  const server = await new ScriptedServer({
    unary: {
      readHostLog: () => {
        const part = queue.shift() ?? "";
        if (part instanceof Refusal) throw part;
        end += part.length;
        return { content: Buffer.from(part), position: `at ${end}`, gap: part.startsWith("later") };
      },
    },
  }).start();
  const retry = { attempts: 1, initialDelayMs: 5, maxDelayMs: 5 };
  const client = createClient({ coordinator: server.address, retry });
  closers.push(
    () => client.close(),
    () => server.kill(),
  );
  return { server, client };
}

const text = ({ content }: HostLogPart): string => Buffer.from(content).toString();
const web = { hostId: "h1", application: "web" };
const away = () => new Refusal(status.UNAVAILABLE, "host h1 does not answer");

test("its end is one part, and from a position it is read to the end", async ({ closers }) => {
  const { server, client } = await start(closers, ["one\n", "two\n", "later\n", ""]);
  assert.equal((await collect(client.fleet.readHostLog(web))).map(text), ["one\n"]);
  const rest = await collect(client.fleet.readHostLog({ ...web, position: "at 4", maxBytes: 9 }));
  assert.equal(
    rest.map((part) => [text(part), part.position, part.gap]),
    [
      ["two\n", "at 8", false],
      ["later\n", "at 14", true],
    ],
  );
  assert.equal(
    server.requests.map(({ request }) => request["position"]),
    ["", "at 4", "at 8", "at 14"],
  );
  assert.is(server.requests.at(-1)?.request["maxBytes"], 9);
});

test("following goes on through quiet and outages, until the reader leaves", async ({
  closers,
}) => {
  const { server, client } = await start(closers, ["one\n", "", away(), "two\n"]);
  const read: string[] = [];
  for await (const part of client.fleet.readHostLog({ ...web, follow: true })) {
    read.push(text(part));
    if (read.length === 2) break;
  }
  assert.equal(read, ["one\n", "two\n"]);
  assert.is(server.calls.length, 4);
});

test("an abort ends it with the signal's reason, also while it waits", async ({ closers }) => {
  const { client } = await start(closers, ["one\n"]);
  const controller = new AbortController();
  const reason = new Error("enough");
  const reading = async (): Promise<void> => {
    const { signal } = controller;
    for await (const _ of client.fleet.readHostLog({ ...web, follow: true }, { signal })) {
      setTimeout(() => controller.abort(reason), 100);
    }
  };
  assert.is(await rejection(reading()), reason);
});

test("what does not answer is an error, at once or after so long", async ({ closers }) => {
  const { server, client } = await start(closers, Array.from({ length: 200 }, away));
  const once = (await rejection(collect(client.fleet.readHostLog(web)))) as SlipwayError;
  assert.is(once.code, "UNAVAILABLE");
  assert.is(server.calls.length, 1);
  const following = client.fleet.readHostLog(
    { ...web, follow: true },
    { unavailableTimeoutMs: 100 },
  );
  const late = (await rejection(collect(following))) as SlipwayError;
  assert.is(late.message, "host h1 does not answer");
  assert.ok(server.calls.length > 3, `${server.calls.length} tries`);
});

test.run();
