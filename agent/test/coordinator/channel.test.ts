import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import {
  MembershipServiceClient,
  MembershipServiceService,
  setErrorDetails,
  setTokenEnd,
  unary,
} from "@slipway/proto";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { channelOptions } from "../../src/coordinator/failover-channel.js";
import { openChannel, type CoordinatorFiles } from "../../src/coordinator/channel.js";
import { eventually, log, temporaryFolder } from "../host/fixtures.js";

const test = suite("the way to coordinators");
const run = promisify(execFile);
let folder: string;
let remove: () => Promise<unknown> | void;
let server: Server;
const ports = { plain: 0, tls: 0 };
/** What the last call came with. */
let heard: unknown;

/** What the coordinator says of the token, and refuses the next calls with. */
let tokenEnd: Date | undefined;
let refusal = "";

function refused(reason: string): object {
  const metadata = new Metadata();
  const code = status.UNAUTHENTICATED;
  setErrorDetails(metadata, code, "not let in", { reason, violations: [] });
  return { code, details: "not let in", metadata };
}

const file = (name: string): string => path.join(folder, name);
const openssl = (...args: string[]) => run("openssl", args, { cwd: folder, timeout: 30_000 });
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];

/** A certificate that is its own authority. */
async function makeCertificate(name: string): Promise<void> {
  const out = ["-keyout", `${name}.key`, "-out", `${name}.crt`];
  const what = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  await openssl("req", "-x509", ...KEY, ...out, ...what);
}

const listen = (credentials: ServerCredentials): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });

test.before(async () => {
  ({ folder, remove } = await temporaryFolder());
  for (const name of ["server", "stranger"]) await makeCertificate(name);
  await writeFile(file("token"), "first\n");
  server = new Server();
  server.addService(MembershipServiceService, {
    getTime: (
      call: { metadata: Metadata; sendMetadata: (metadata: Metadata) => void },
      answer: (error: object | null, value?: { time: undefined }) => void,
    ) => {
      heard = call.metadata.get("authorization")[0];
      if (refusal !== "") return answer(refused(refusal));
      if (tokenEnd !== undefined) {
        const metadata = new Metadata();
        setTokenEnd(metadata, tokenEnd);
        call.sendMetadata(metadata);
      }
      answer(null, { time: undefined });
    },
  });
  const pair = {
    private_key: await readFile(file("server.key")),
    cert_chain: await readFile(file("server.crt")),
  };
  ports.plain = await listen(ServerCredentials.createInsecure());
  ports.tls = await listen(ServerCredentials.createSsl(null, [pair]));
});
test.after(async () => {
  server?.forceShutdown();
  await remove();
});

/** What the coordinator hears in a call. */
async function call(
  files: CoordinatorFiles,
  port = ports.plain,
  metadata = new Metadata(),
): Promise<unknown> {
  heard = undefined;
  const coordinator = `127.0.0.1:${port}`;
  const { credentials, interceptors } = await openChannel({ ...files, coordinator }, log);
  const client = new MembershipServiceClient(coordinator, credentials, { interceptors });
  try {
    await unary(client, "getTime", {}, { timeoutMs: 3_000, metadata });
    return heard;
  } finally {
    client.close();
  }
}
const failure = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown as Error,
  );
  return error?.message ?? "";
};

test("calls carry the token, over plain text and TLS, unless they bring another one", async () => {
  const coordinatorTokenFile = file("token");
  assert.is(await call({}), undefined);
  assert.is(await call({ coordinatorTokenFile }), "Bearer first");
  const tls = { coordinatorCa: file("server.crt"), coordinatorTokenFile };
  assert.is(await call(tls, ports.tls), "Bearer first");
  const own = new Metadata();
  own.set("authorization", "Bearer to join");
  assert.is(await call({ coordinatorTokenFile }, ports.plain, own), "Bearer to join");
});

test("of several coordinators another is called while one is away", async () => {
  const away = await freePort();
  const coordinatorTokenFile = file("token");
  // Which is called first is left to chance.
  for (let round = 0; round < 8; round += 1) {
    const coordinator = `127.0.0.1:${away},127.0.0.1:${ports.plain}`;
    const { credentials, interceptors } = await openChannel(
      { coordinator, coordinatorTokenFile },
      log,
    );
    const options = channelOptions(coordinator, credentials, { interceptors });
    const client = new MembershipServiceClient(coordinator, credentials, options);
    const ask = () => unary(client, "getTime", {}, { timeoutMs: 3_000 });
    await ask().catch(() => ask());
    assert.is(heard, "Bearer first");
    client.close();
  }
  const beyond = { coordinator: "127.0.0.1:1,node.example:2", coordinatorTokenFile };
  assert.match(await failure(openChannel(beyond, log)), /not sent to .*node\.example.*plain text/);
});

test("a coordinator of another authority gets no call, and no token", async () => {
  const files = { coordinatorCa: file("stranger.crt"), coordinatorTokenFile: file("token") };
  assert.match(await failure(call(files, ports.tls)), /UNAVAILABLE|DEADLINE_EXCEEDED/);
  assert.is(heard, undefined);
});

test("a token that is replaced is taken", async () => {
  const live = file("live");
  await writeFile(live, "old\n");
  const coordinator = `127.0.0.1:${ports.plain}`;
  const files = { coordinator, coordinatorTokenFile: live };
  const { credentials, interceptors } = await openChannel(files, log);
  const client = new MembershipServiceClient(coordinator, credentials, { interceptors });
  const hears = async (token: string): Promise<true | undefined> => {
    await unary(client, "getTime", {}, { timeoutMs: 3_000 });
    return heard === `Bearer ${token}` || undefined;
  };
  assert.ok(await hears("old"));
  await writeFile(live, "new\n");
  await eventually("the new token", () => hears("new"));
  client.close();
});

test("what answers say of the token is known", async () => {
  const coordinator = `127.0.0.1:${ports.plain}`;
  const files = { coordinator, coordinatorTokenFile: file("token") };
  const { credentials, interceptors, token } = await openChannel(files, log);
  const client = new MembershipServiceClient(coordinator, credentials, { interceptors });
  const ask = (metadata = new Metadata()) =>
    unary(client, "getTime", {}, { timeoutMs: 3_000, metadata });
  tokenEnd = new Date(Date.now() + 3_600_000);
  await ask();
  assert.equal(token?.expireTime, tokenEnd);
  refusal = "TOKEN_REVOKED";
  assert.match(await failure(ask()), /not let in/);
  assert.is(token?.refusal?.message, "not let in");
  const other = new Metadata();
  other.set("authorization", "Bearer to join");
  refusal = "";
  await ask(other);
  assert.ok(token?.refusal, "another token says nothing of this one");
  refusal = "NOT_FOUND";
  await failure(ask());
  assert.ok(token?.refusal, "nor does what was asked for");
  refusal = "";
  await ask();
  assert.is(token?.refusal, undefined);
  token?.stop();
  client.close();
});

test("files that can't be used are a plain reason", async () => {
  await openssl("genpkey", "-algorithm", "ed25519", "-out", "goal.key");
  const table: [CoordinatorFiles & { coordinator?: string }, RegExp][] = [
    [
      { coordinatorTokenFile: file("token"), coordinator: "10.0.0.1:7700" },
      /token is not sent to 10\.0\.0\.1:7700 in plain text: give --coordinator-ca/,
    ],
    [{ coordinatorTokenFile: file("none") }, /the token .*none cannot be read: ENOENT/],
    [{ coordinatorTokenFile: file("server.crt") }, /server\.crt holds no token/],
    [{ coordinatorCa: file("none") }, /none cannot be read: ENOENT/],
    [{ coordinatorCa: file("token") }, /TLS cannot be used with .*token/],
    [{ coordinatorCert: file("server.crt") }, /go together/],
    [
      { coordinatorCert: file("server.crt"), coordinatorKey: file("server.key") },
      /needs --coordinator-ca/,
    ],
    [
      {
        coordinatorCa: file("server.crt"),
        coordinatorCert: file("server.crt"),
        coordinatorKey: file("goal.key"),
      },
      /TLS cannot be used with .*goal\.key: the key is not the certificate's/,
    ],
  ];
  for (const [files, reason] of table) {
    const own = { coordinator: "127.0.0.1:7700", ...files };
    assert.match(await failure(openChannel(own, log)), reason);
  }
});

test.run();
