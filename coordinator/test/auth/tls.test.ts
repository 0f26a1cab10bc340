import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { credentials, type ChannelCredentials } from "@grpc/grpc-js";
import { TokenServiceClient, unary } from "@slipway/proto";
import type { Knex } from "knex";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ServerCertificates, type TlsFiles } from "../../src/auth/server-certificates.js";
import type { Coordinator } from "../../src/index.js";
import { startFleet, type TestFleet } from "../fleet.js";
import { eventually, openPool, silent } from "../postgres.js";
import { bearer, endingOf, makeToken } from "./tokens.js";

const test = suite("TLS");
const run = promisify(execFile);
let dir: string;
let fleet: TestFleet;
let coordinator: Coordinator;
let mutual: Coordinator;
let db: Knex;
let token: string;

const file = (name: string): string => path.join(dir, name);
const openssl = (...args: string[]) => run("openssl", args, { cwd: dir, timeout: 30_000 });

/** An authority, NAME.crt and NAME.key. */
async function makeAuthority(name: string): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const out = ["-keyout", `${name}.key`, "-out", `${name}.crt`];
  await openssl("req", "-x509", ...key, ...out, "-days", "2", "-subj", `/CN=${name}`);
}

/** A certificate of an authority, for 127.0.0.1 and for callers. */
async function makeCertificate(name: string, authority: string): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const out = ["-keyout", `${name}.key`, "-out", `${name}.csr`];
  await openssl("req", ...key, ...out, "-subj", `/CN=${name}`);
  await writeFile(file("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  const by = ["-CA", `${authority}.crt`, "-CAkey", `${authority}.key`, "-CAcreateserial"];
  const how = ["-days", "2", "-extfile", "names"];
  await openssl("x509", "-req", "-in", `${name}.csr`, ...by, ...how, "-out", `${name}.crt`);
}

test.before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "slipway-tls-"));
  await makeAuthority("ca");
  await makeAuthority("stranger");
  for (const name of ["server", "next", "client"]) await makeCertificate(name, "ca");
  await makeCertificate("other", "stranger");
  fleet = await startFleet();
  const tls: TlsFiles = { certFile: file("server.crt"), keyFile: file("server.key") };
  coordinator = await fleet.start({ authentication: "tokens", tls });
  const clientCaFile = file("ca.crt");
  mutual = await fleet.start({ authentication: "tokens", tls: { ...tls, clientCaFile } });
  db = openPool(fleet.databaseUrl);
  token = (await makeToken(db, "viewer")).text;
});
test.after(async () => {
  await db?.destroy();
  await fleet?.close();
  await rm(dir, { recursive: true, force: true });
});

/** How a call ends over such a connection. */
async function whoAmI({ address }: Coordinator, security: ChannelCredentials): Promise<string> {
  const client = new TokenServiceClient(address, security);
  try {
    const options = { timeoutMs: 5_000, metadata: bearer(token) };
    const { token: mine } = await unary(client, "whoAmI", {}, options);
    return mine?.name ?? "";
  } catch (error) {
    return endingOf(error).code;
  } finally {
    client.close();
  }
}
const trusting = async (authority: string, caller?: string): Promise<ChannelCredentials> =>
  credentials.createSsl(
    await readFile(file(`${authority}.crt`)),
    caller === undefined ? null : await readFile(file(`${caller}.key`)),
    caller === undefined ? null : await readFile(file(`${caller}.crt`)),
  );

test("calls are served over TLS to who trusts the authority, and not in plain text", async () => {
  assert.is(await whoAmI(coordinator, await trusting("ca")), "the viewer");
  assert.is(await whoAmI(coordinator, await trusting("stranger")), "UNAVAILABLE");
  assert.is(await whoAmI(coordinator, credentials.createInsecure()), "UNAVAILABLE");
});

test("with a client authority, callers need a certificate of it beside their token", async () => {
  assert.is(await whoAmI(mutual, await trusting("ca", "client")), "the viewer");
  assert.is(await whoAmI(mutual, await trusting("ca")), "UNAVAILABLE");
  assert.is(await whoAmI(mutual, await trusting("ca", "other")), "UNAVAILABLE");
});

test("a renewed certificate is served without a restart, half a renewal is not", async () => {
  for (const part of ["crt", "key"]) await copyFile(file(`server.${part}`), file(`live.${part}`));
  const tls = { certFile: file("live.crt"), keyFile: file("live.key") };
  const renewed = await fleet.start({ authentication: "tokens", tls });
  const certificates = await ServerCertificates.open(tls, silent);
  assert.is(await nameServed(renewed), "server");
  await copyFile(file("next.crt"), file("live.crt"));
  const failure = await certificates.reload().catch((error: unknown) => error as Error);
  assert.match(
    (failure as Error).message,
    /TLS cannot be served with .*live\.crt.*key values mismatch/,
  );
  assert.is(await nameServed(renewed), "server");
  await copyFile(file("next.key"), file("live.key"));
  const isNext = async () => (await nameServed(renewed)) === "next" || undefined;
  await eventually(isNext, 30_000);
});

test("the end of a certificate is warned of while it is near, once, and told", async () => {
  const warnings: object[] = [];
  const log = { ...silent, warn: (about: object) => void warnings.push(about) } as typeof silent;
  const tls = { certFile: file("server.crt"), keyFile: file("server.key") };
  const certificates = await ServerCertificates.open(tls, log);
  await certificates.reload();
  const { validTo } = new X509Certificate(await readFile(tls.certFile));
  const expireTime = new Date(validTo);
  assert.equal(warnings, [{ file: tls.certFile, expireTime }]);
  assert.equal(certificates.expireTime, expireTime);
});

/** Whose certificate a new connection gets. */
async function nameServed(to: Coordinator): Promise<string> {
  const ca = await readFile(file("ca.crt"));
  const options = { host: "127.0.0.1", port: portOf(to), ca, ALPNProtocols: ["h2"] };
  return new Promise((resolve, reject) => {
    const socket = connectTls(options, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** Why the files can't be used; empty if they can. */
const reason = (files: TlsFiles): Promise<string> =>
  ServerCertificates.open(files, silent).then(
    () => "",
    (error: unknown) => (error as Error).message,
  );

test("files that can't be used are a plain reason", async () => {
  assert.match(
    await reason({ certFile: file("none"), keyFile: file("server.key") }),
    /certificate .*none cannot be read: ENOENT/,
  );
  const tls = { certFile: file("server.crt"), keyFile: file("server.key") };
  assert.match(
    await reason({ ...tls, clientCaFile: file("names") }),
    /TLS cannot be served .*names/,
  );
  assert.match(
    await reason({ certFile: file("names"), keyFile: file("server.key") }),
    /TLS cannot be served/,
  );
});

test("a key of another kind than the certificate's is refused, and the former pair served on", async () => {
  await openssl("genpkey", "-algorithm", "ed25519", "-out", "goal.key");
  const tls = { certFile: file("kind.crt"), keyFile: file("kind.key") };
  await copyFile(file("server.crt"), tls.certFile);
  await copyFile(file("goal.key"), tls.keyFile);
  assert.match(await reason(tls), /TLS cannot be served with .*kind\.key: the key is not the cert/);
  await copyFile(file("server.key"), tls.keyFile);
  const errors: object[] = [];
  const log = { ...silent, warn() {}, error: (about: object) => void errors.push(about) };
  const certificates = await ServerCertificates.open(tls, log as typeof silent);
  await copyFile(file("goal.key"), tls.keyFile);
  certificates.start();
  await eventually(() => Promise.resolve(errors.length > 0 || undefined), 30_000);
  assert.match(JSON.stringify(errors[0]), /kind\.key: the key is not the certificate's/);
  await certificates.stop();
});

test("a connection that proves nothing is closed, over TLS and in plain text", async () => {
  const plain = await fleet.start({ authentication: "tokens" });
  const ends = [
    dial(coordinator, "never says hello to TLS"),
    dial(plain, "never says a word"),
    dial(plain, "PRI * HTTP/2.0\r\n"),
  ];
  const tls = connectTls({
    host: "127.0.0.1",
    port: portOf(coordinator),
    ca: await readFile(file("ca.crt")),
    ALPNProtocols: ["h2"],
  });
  ends.push(closed(tls));
  await Promise.all(ends);
});

const portOf = ({ address }: Coordinator): number => Number(address.split(":")[1]);

/** Resolves when the coordinator closes the connection. */
function dial(to: Coordinator, says: string): Promise<void> {
  const socket = connect(portOf(to), "127.0.0.1");
  socket.write(says.startsWith("PRI") ? says : "");
  return closed(socket);
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error("still open after 40 s"));
    }, 40_000);
    socket.on("error", () => undefined);
    socket.resume();
    socket.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

test.run();
