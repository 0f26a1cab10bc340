import { createServer } from "node:net";
import {
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  status,
  type ServerDuplexStream,
  type ServiceDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { getErrorDetails } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Admission, type Authenticator } from "../../src/auth/admission.js";
import { ANYONE } from "../../src/auth/identity.js";
import { deployer, free, OPEN, type ApplicationLookUp } from "../../src/auth/rules.js";
import type { Context } from "../../src/context.js";
import { DomainError, failedPrecondition } from "../../src/errors.js";
import { type ActiveCall, ActiveCalls } from "../../src/rpc/calls.js";
import { Handlers } from "../../src/rpc/handler.js";
import { acceptEncoded } from "../../src/rpc/services.js";
import { toCallError } from "../../src/rpc/status.js";
import { Stats } from "../../src/stats.js";
import { eventually, silent } from "../postgres.js";

const test = suite("handlers");

const utf8 = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (value: Buffer) => value.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (value: Buffer) => value.toString(),
};
const definition = {
  echo: { path: "/t.T/Echo", requestStream: false, responseStream: false, ...utf8 },
  write: { path: "/t.T/Write", requestStream: false, responseStream: false, ...utf8 },
  count: { path: "/t.T/Count", requestStream: false, responseStream: true, ...utf8 },
  talk: { path: "/t.T/Talk", requestStream: true, responseStream: true, ...utf8 },
} satisfies ServiceDefinition;

const NOTHING = {} as ApplicationLookUp;
/** Asks for a look at who calls that lasts until the test lets it end. */
const SLOWLY = "slowly";
const looks: (() => void)[] = [];
const authenticator: Partial<Authenticator> = {
  admitStranger: () => ANYONE,
  authenticate: ({ request }) =>
    request === SLOWLY ? new Promise((resolve) => looks.push(() => resolve(ANYONE))) : ANYONE,
  follow: () => () => undefined,
  failed: () => undefined,
  refused: () => undefined,
};

/** What the methods saw. */
const seen = { sent: 0, cleanedUp: 0, aborted: 0, written: [] as string[] };
/** Of all calls, in their order. */
const begun: AbortSignal[] = [];
class WatchedCalls extends ActiveCalls {
  override begin(kind: "unary" | "stream"): ActiveCall {
    const call = super.begin(kind);
    begun.push(call.signal);
    return call;
  }
}
const calls = new WatchedCalls();
const stats = new Stats();
let server: Server;
let address: string;

test.before(async () => {
  const context = { log: silent, clock: { now: () => 0 }, stats } as unknown as Context;
  const handlers = new Handlers(
    context,
    calls,
    new Admission({ authenticator: authenticator as Authenticator, find: NOTHING }),
  );
  server = new Server();
  server.addService(acceptEncoded(definition), {
    echo: handlers.unary(OPEN, async (_, request: string, { signal }) => {
      if (request === "refuse") throw failedPrecondition("NOT_NOW", "not now");
      if (request === "break") throw new Error("a secret");
      if (request === "hang") {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        seen.aborted += 1;
      }
      return request;
    }),
    write: handlers.unary(deployer<string>(free), async (_, request) => {
      seen.written.push(request);
      return request;
    }),
    count: handlers.stream(OPEN, async function* (_, request: string) {
      try {
        if (request === "hang") await new Promise(() => undefined);
        if (request === "bytes") yield Buffer.from("encoded before");
        for (let number = 0; number < Number(request); number += 1) {
          seen.sent += 1;
          yield "x".repeat(10_000);
        }
        if (request === "0") throw failedPrecondition("NOTHING", "nothing to count");
      } finally {
        seen.cleanedUp += 1;
      }
    }),
    talk: handlers.bidi(OPEN, async function* (_, requests: AsyncIterable<string>) {
      for await (const request of requests) {
        if (request === "stop") return;
        yield request.toUpperCase();
      }
      yield "bye";
    }),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  address = `127.0.0.1:${port}`;
});
test.after(() => server.forceShutdown());

type Answer = (error: ServiceError | null, value?: string) => void;
interface Stream extends AsyncIterable<string> {
  cancel(): void;
  on(event: string, listener: (value: never) => void): void;
}
interface TestClient {
  echo(request: string, options: object, answer: Answer): { cancel(): void };
  write(request: string, options: object, answer: Answer): { cancel(): void };
  count(request: string): Stream;
  talk(): Stream & Pick<ServerDuplexStream<string, string>, "write" | "end">;
  close(): void;
}

async function withClient(work: (client: TestClient) => Promise<void>): Promise<void> {
  const constructor = makeGenericClientConstructor(definition, "T");
  const client = new constructor(address, credentials.createInsecure());
  try {
    await work(client as unknown as TestClient);
  } finally {
    client.close();
  }
}
const echo = (client: TestClient, request: string): Promise<ServiceError | string> =>
  new Promise((resolve) => {
    client.echo(request, {}, (error, value) => resolve(error ?? value ?? ""));
  });
const all = async (stream: AsyncIterable<string>): Promise<(string | ServiceError)[]> => {
  const items: (string | ServiceError)[] = [];
  try {
    for await (const item of stream) items.push(item);
  } catch (error) {
    items.push(error as ServiceError);
  }
  return items;
};

test("answers, domain errors with details, and hidden unknown errors", async () => {
  await withClient(async (client) => {
    assert.is(await echo(client, "hello"), "hello");
    const refused = (await echo(client, "refuse")) as ServiceError;
    assert.equal([refused.code, refused.details], [status.FAILED_PRECONDITION, "not now"]);
    assert.equal(getErrorDetails(refused.metadata), { reason: "NOT_NOW", violations: [] });
    const broken = (await echo(client, "break")) as ServiceError;
    assert.is(broken.code, status.INTERNAL);
    assert.match(broken.details, /^internal error, id [0-9a-f-]{36}$/);
  });
});

test("a cancelled call aborts its signal", async () => {
  await withClient(async (client) => {
    const call = client.echo("hang", {}, () => undefined);
    await eventually(() => calls.size > 0 || undefined);
    call.cancel();
    await eventually(() => seen.aborted === 1 || undefined);
    await eventually(() => calls.size === 0 || undefined);
  });
});

test("a call that was cancelled before it was known whose it is changes nothing", async () => {
  await withClient(async (client) => {
    const call = client.write(SLOWLY, {}, () => undefined);
    await eventually(() => looks.length === 1 || undefined);
    call.cancel();
    await eventually(() => begun.at(-1)?.aborted || undefined);
    looks[0]?.();
    await eventually(() => calls.size === 0 || undefined);
    const later = await new Promise((resolve) =>
      client.write("later", {}, (error, value) => resolve(error ?? value)),
    );
    assert.equal([later, seen.written], ["later", ["later"]]);
  });
});

test("a stream of bytes that were encoded before, and one that fails", async () => {
  await withClient(async (client) => {
    assert.equal(await all(client.count("bytes")), ["encoded before"]);
    const [error] = (await all(client.count("0"))) as ServiceError[];
    assert.is(error?.code, status.FAILED_PRECONDITION);
  });
});

test("a reader that stops reading holds the stream up, and costs bounded memory", async () => {
  await withClient(async (client) => {
    seen.sent = 0;
    const items = client.count("10000")[Symbol.asyncIterator]();
    await items.next();
    let before = -1;
    // It has stopped when nothing was sent for a while.
    await eventually(async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const isSteady = seen.sent > 0 && seen.sent === before;
      before = seen.sent;
      return isSteady || undefined;
    });
    assert.ok(seen.sent < 1_000, `${seen.sent} messages were sent to nobody`);
    let received = 1;
    while ((await items.next()).done !== true) received += 1;
    assert.is(received, 10_000);
  });
});

test("a cancelled stream cleans up, even one that hangs ends", async () => {
  await withClient(async (client) => {
    const cleanedUp = seen.cleanedUp;
    const stream = client.count("10000");
    const first = stream[Symbol.asyncIterator]();
    await first.next();
    stream.on("error", () => undefined);
    stream.cancel();
    await eventually(() => seen.cleanedUp > cleanedUp || undefined);
    const stuck = client.count("hang");
    stuck.on("error", () => undefined);
    await eventually(() => calls.size > 0 || undefined);
    stuck.cancel();
    await eventually(() => calls.size === 0 || undefined);
  });
});

test("both ways: until the caller has said all, or the method ends", async () => {
  await withClient(async (client) => {
    const talk = client.talk();
    talk.write("a");
    talk.write("b");
    talk.end();
    assert.equal(await all(talk), ["A", "B", "bye"]);
    const stopped = client.talk();
    stopped.write("a");
    stopped.write("stop");
    assert.equal(await all(stopped), ["A"]);
    await eventually(() => calls.size === 0 || undefined);
  });
});

test("stopping ends streams with UNAVAILABLE, also those that come later", async () => {
  await withClient(async (client) => {
    const waiting = all(client.count("hang"));
    await eventually(() => calls.size > 0 || undefined);
    calls.endStreams();
    const codes = [...(await waiting), ...(await all(client.count("hang")))];
    assert.equal(
      codes.map((error) => (error as ServiceError).code),
      [status.UNAVAILABLE, status.UNAVAILABLE],
    );
    assert.is(await echo(client, "still"), "still");
  });
});

const withCode = (code: string): Error => Object.assign(new Error("x"), { code });

const nats = (code: string): Error => Object.assign(withCode(code), { name: "NatsError" });

test("what is the infrastructure's fault is UNAVAILABLE, everything else INTERNAL", async () => {
  const refused = await new Promise<Error>((resolve) => {
    const server = createServer().on("error", resolve);
    server.listen(1, "192.0.2.1");
  });
  const table: [unknown, status][] = [
    [withCode("ECONNREFUSED"), status.UNAVAILABLE],
    [withCode("57P01"), status.UNAVAILABLE],
    [withCode("57P03"), status.UNAVAILABLE],
    [withCode("08006"), status.UNAVAILABLE],
    [withCode("53300"), status.UNAVAILABLE],
    [withCode("57014"), status.UNAVAILABLE],
    [new Error("Connection terminated unexpectedly"), status.UNAVAILABLE],
    [new Error('select "x" from "y" where "z" = $1 - Connection terminated'), status.UNAVAILABLE],
    [new Error("Knex: Timeout acquiring a connection. The pool is full"), status.UNAVAILABLE],
    [new AggregateError([withCode("ECONNREFUSED")], ""), status.UNAVAILABLE],
    [nats("TIMEOUT"), status.UNAVAILABLE],
    [nats("503"), status.UNAVAILABLE],
    [nats("BAD_JSON"), status.INTERNAL],
    [withCode("23505"), status.INTERNAL],
    [refused, status.INTERNAL],
    ["a string", status.INTERNAL],
    [undefined, status.INTERNAL],
    [new DomainError(status.ABORTED, "x", { reason: "X" }), status.ABORTED],
  ];
  for (const [error, code] of table) {
    assert.is(toCallError(error, silent).code, code, String(error));
  }
});

test.run();
