import http2 from "node:http2";
import net from "node:net";
import {
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ServiceError,
} from "@grpc/grpc-js";
import {
  TokenServiceClient,
  type TokenServiceServer,
  TokenServiceService,
  unary,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connectionLimits, type ConnectionLimits } from "../../src/connection-limits.js";
import { Listener } from "../../src/rpc/listener.js";
import { STRANGER_CALLS } from "../../src/rpc/sessions.js";
import { Stats } from "../../src/stats.js";
import { eventually, silent } from "../postgres.js";

const PATH = "/slipway.v1.TokenService/WhoAmI";
const CALL = {
  ":method": "POST",
  ":path": PATH,
  "content-type": "application/grpc",
  te: "trailers",
};
/** An empty message. */
const EMPTY = Buffer.alloc(5);
/** A test's own: generous in what it is not about. */
const rate = { burst: 10_000, perSecond: 10_000 };
const roomy: ConnectionLimits = {
  all: 1_000,
  each: 1_000,
  strangers: { rate: { each: rate, all: rate }, room: { each: 500, all: 500 }, proveMs: 20_000 },
  strangerBytes: { each: 2 ** 23, all: 2 ** 28 },
};

const test = suite<{ port: Port }>("the gRPC port under attack");
test.before.each((context) => {
  context.port = new Port();
});
test.after.each(({ port }) => port.close());

test("a crowd that says nothing makes room for who is known", async ({ port }) => {
  const room = { each: 20, all: 30 };
  await port.open({ ...roomy, strangers: { ...roomy.strangers, room } });
  for (let number = 0; number < 60; number++) port.dial();
  await eventually(() => port.refused("crowded") === 40 || undefined);
  assert.equal(port.listener.counts, { connections: 20, strangers: 20, addresses: 1 });
  for (let number = 0; number < 60; number++) port.dial({ from: `127.0.1.${number + 1}` });
  await eventually(() => port.refused("crowded") === 90 || undefined);
  assert.is(port.listener.counts.strangers, 30);
  await port.serves();
  await eventually(() => port.listener.counts.connections === 30 || undefined);
  assert.is(port.listener.counts.strangers, 29, "the one that was let in waits no more");
});

for (const [what, bytes] of Object.entries<Buffer>({
  nothing: Buffer.alloc(0),
  "half of the first line": Buffer.from("PRI * HTTP/2.0\r\n"),
  "headers without an end": endlessHeaders(),
  "a call without an end": endlessHeaders(4),
})) {
  test(`who says ${what} is let go when its time is over`, async ({ port }) => {
    await port.open({ ...roomy, strangers: { ...roomy.strangers, proveMs: 300 } });
    const sockets = Array.from({ length: 10 }, () => port.dial({ says: bytes }));
    await port.serves();
    await eventually(() => sockets.every((socket) => socket.closed) || undefined);
    assert.is(port.refused("silent"), 10);
    assert.is(port.listener.counts.strangers, 0);
    await port.serves();
  });
}

test("who comes too often waits; others do not", async ({ port }) => {
  const each = { burst: 20, perSecond: 0 };
  await port.open({ ...roomy, strangers: { ...roomy.strangers, rate: { each, all: rate } } });
  const sockets = Array.from({ length: 50 }, () => port.dial({ from: "127.0.0.9" }));
  await eventually(() => port.refused("rate") === 30 || undefined);
  await eventually(() => sockets.filter(({ closed }) => closed).length === 30 || undefined);
  await port.serves();
});

test("an address has so many connections, known or not", async ({ port }) => {
  await port.open({ ...roomy, each: 10 });
  for (let number = 0; number < 15; number++) port.dial({ from: "127.0.0.9" });
  await eventually(() => port.refused("address_full") === 5 || undefined);
  await port.serves();
  for (const socket of port.sockets) socket.destroy();
  await eventually(() => port.listener.counts.addresses === 0 || undefined);
});

test("a stranger has few calls at once, who is known has more", async ({ port }) => {
  await port.open(roomy);
  const session = await port.session();
  const ends: string[] = [];
  // Before it has heard of the bound.
  for (let count = 0; count < 60; count++) {
    const stream = session.request(CALL);
    stream.on("error", (error: NodeJS.ErrnoException) => ends.push(error.message));
  }
  await eventually(() => ends.length >= 60 - STRANGER_CALLS || undefined);
  assert.ok(ends.every((end) => /REFUSED_STREAM/.test(end)));
  assert.is(port.streams, STRANGER_CALLS);
  await port.serves();
  const known = await port.session();
  await port.call(known, "good");
  await eventually(() => known.remoteSettings.maxConcurrentStreams === 10_000 || undefined);
});

test("a stranger that sends more than a message is let go", async ({ port }) => {
  await port.open({ ...roomy, strangerBytes: { each: 100_000, all: 2 ** 28 } });
  const session = await port.session();
  const stream = session.request(CALL);
  stream.on("error", () => undefined);
  stream.write(message(1_000_000).subarray(0, 300_000));
  await eventually(() => session.destroyed || undefined);
  assert.is(port.refused("bytes"), 1);
  await port.serves();
});

test("strangers together send so much; who sends most goes first", async ({ port }) => {
  await port.open({ ...roomy, strangerBytes: { each: 2 ** 23, all: 500_000 } });
  const sessions = [];
  for (let number = 1; number <= 5; number++) {
    const session = await port.session();
    const stream = session.request(CALL);
    stream.on("error", () => undefined);
    stream.write(message(1_000_000).subarray(0, number * 60_000));
    sessions.push(session);
  }
  await eventually(() => port.refused("bytes") >= 2 || undefined);
  assert.not(sessions[0]?.destroyed);
  await port.serves();
});

test("a message and headers that are too long are refused", async ({ port }) => {
  await port.open(roomy);
  const session = await port.session();
  const long = message(5 * 1024 * 1024).subarray(0, 1_000);
  assert.is(await port.call(session, "bad", { says: long }), status.RESOURCE_EXHAUSTED);
  const refused = await port
    .call(session, "bad", { headers: { "x-long": "x".repeat(70_000) } })
    .catch((error: unknown) => error);
  assert.ok(refused instanceof Error || typeof refused === "string", String(refused));
  await port.serves();
});

test("2,000 hosts behind one address come at once, and all of them are let in", async ({
  port,
}) => {
  await port.open(connectionLimits({ all: 10_000, each: 5_000 }));
  const hosts = Array.from({ length: 2_000 }, async () => {
    const session = await port.session();
    const code = await port.call(session, "good");
    session.close();
    return code;
  });
  const codes = await Promise.all(hosts);
  assert.ok(codes.every((code) => code === status.OK));
  const { full, address_full: addressFull, rate: often, crowded, silent: late } = port.counts;
  assert.equal([full, addressFull, often, crowded, late], [0, 0, 0, 0, 0]);
  await port.serves();
});

const refuse = (_call: unknown, answer: (error: Partial<ServiceError>) => void): void =>
  answer({ code: status.UNIMPLEMENTED });

/** A gRPC server that lets in whoever says "good". */
class Port {
  readonly sockets: net.Socket[] = [];
  readonly #stats = new Stats();
  readonly #sessions: http2.ClientHttp2Session[] = [];
  readonly #server = new Server({
    "grpc.max_concurrent_streams": STRANGER_CALLS,
    "grpc.max_receive_message_length": 4 * 1024 * 1024,
  });
  listener!: Listener;
  #port = 0;
  /** Calls whose headers came. */
  streams = 0;

  async open(limits: ConnectionLimits): Promise<void> {
    const implementation: TokenServiceServer = {
      createToken: refuse,
      listTokens: refuse,
      revokeToken: refuse,
      whoAmI: (call, answer) => {
        if (call.metadata.get("token")[0] === "good") {
          this.listener.proved(call.getPeer());
          answer(null, { token: undefined });
        } else answer({ code: status.UNAUTHENTICATED });
      },
    };
    this.#server.addService(TokenServiceService, implementation);
    const insecure = ServerCredentials.createInsecure();
    const options = { credentials: insecure, limits, stats: this.#stats, log: silent };
    this.listener = new Listener({ server: this.#server, ...options });
    const { http2Servers } = this.#server as unknown as {
      http2Servers: Map<http2.Http2Server, unknown>;
    };
    for (const server of http2Servers.keys()) server.on("stream", () => (this.streams += 1));
    this.#port = await this.listener.listen({ host: "127.0.0.1", port: 0 });
  }

  get counts(): Stats["connections"]["counts"] {
    return this.#stats.connections.counts;
  }

  refused(reason: keyof Stats["connections"]["counts"]): number {
    return this.counts[reason];
  }

  dial({
    from = "127.0.0.1",
    says = Buffer.alloc(0),
  }: { from?: string; says?: Buffer } = {}): net.Socket {
    const socket = net.connect({ host: "127.0.0.1", port: this.#port, localAddress: from });
    socket.on("error", () => undefined);
    socket.resume();
    socket.write(says);
    this.sockets.push(socket);
    return socket;
  }

  async session(): Promise<http2.ClientHttp2Session> {
    const session = http2.connect(`http://127.0.0.1:${this.#port}`);
    session.on("error", () => undefined);
    this.#sessions.push(session);
    await new Promise<void>((resolve) => session.once("connect", () => resolve()));
    return session;
  }

  /** Resolves with the status. */
  call(
    session: http2.ClientHttp2Session,
    token: string,
    { says = EMPTY, headers = {} }: { says?: Buffer; headers?: Record<string, string> } = {},
  ): Promise<status> {
    return new Promise((resolve, reject) => {
      const stream = session.request({ ...CALL, token, ...headers });
      const onHeaders = (said: http2.IncomingHttpHeaders): void => {
        const code = said["grpc-status"];
        if (code !== undefined) resolve(Number(code));
      };
      stream.on("response", onHeaders);
      stream.on("trailers", onHeaders);
      stream.on("error", reject);
      stream.on("close", () => reject(new Error(`closed with ${stream.rstCode}`)));
      stream.resume();
      stream.end(says);
    });
  }

  /** Somebody who is known, on a connection of its own, is served. */
  async serves(): Promise<void> {
    const address = `127.0.0.1:${this.#port}`;
    const options = { "grpc.use_local_subchannel_pool": 1 };
    const client = new TokenServiceClient(address, credentials.createInsecure(), options);
    const metadata = new Metadata();
    metadata.set("token", "good");
    try {
      await unary(client, "whoAmI", {}, { timeoutMs: 10_000, metadata });
    } finally {
      client.close();
    }
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const session of this.#sessions) session.destroy();
    this.listener.close();
    this.#server.forceShutdown();
  }
}

/** What says that it is so long. */
function message(bytes: number): Buffer {
  const framed = Buffer.alloc(5 + bytes);
  framed.writeUInt32BE(bytes, 1);
  return framed;
}

/** Of a block of headers. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0x00, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

/** The first line, settings, and a HEADERS frame with such flags that does not end its headers. */
function endlessHeaders(flags = 0): Buffer {
  const block = Buffer.concat([
    literal(":method", "POST"),
    literal(":path", PATH),
    literal(":scheme", "http"),
    literal("content-type", "application/grpc"),
  ]);
  const frame = (type: number, on: number, body: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from([0, body.length >> 8, body.length & 255, type, flags]),
      Buffer.from([0, 0, 0, on]),
      body,
    ]);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  return Buffer.concat([preface, settings, frame(1, 1, block)]);
}

test.run();
