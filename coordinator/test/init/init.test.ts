import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import tls from "node:tls";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CertificateError, checkName } from "../../src/init/certificates.js";
import { writeCertificate, writeFleetFiles } from "../../src/init/write-fleet.js";
import { readHookSecret } from "../../src/notification/hook-secret.js";
import { readKeySet } from "../../src/keys/key-set-file.js";
import { createKeySigner } from "../../src/keys/signer.js";

const test = suite("what a fleet begins with");
const DAY_MS = 24 * 3_600_000;
let folder: string;
let fleet: string;

test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-init-"));
  fleet = path.join(folder, "fleet");
  const names = ["coordinator.example", "*.eu.example", "10.1.0.5"];
  await writeFleetFiles({ out: fleet, names, regions: ["eu", "us"], days: 30 });
});
test.after(() => rm(folder, { recursive: true, force: true }));

const read = (name: string): Promise<string> => readFile(path.join(fleet, name), "utf8");
const x509 = async (name: string): Promise<X509Certificate> =>
  new X509Certificate(await read(name));
async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("it should have failed");
}

test("is all there, for its owner alone", async () => {
  const pairs = ["ca.crt", "ca.key", "server.crt", "server.key"];
  const keys = ["root", "goal", "membership"].flatMap((name) => [`${name}.key`, `${name}.key.pub`]);
  const expected = [...pairs, ...keys, "hook.secret", "key-set", "nats"].sort();
  assert.equal((await readdir(fleet)).sort(), expected);
  assert.equal(await readdir(folder), ["fleet"], "nothing else is left");
  assert.is((await stat(fleet)).mode & 0o777, 0o700);
  for (const name of expected.filter((one) => /\.(key|secret)$/.test(one))) {
    assert.is((await stat(path.join(fleet, name))).mode & 0o777, 0o600, name);
  }
  for (const name of ["root.key", "goal.key", "membership.key"]) {
    const publicKey = createPublicKey(createPrivateKey(await read(name)));
    assert.ok(publicKey.equals(createPublicKey(await read(`${name}.pub`))), name);
  }
  const set = await readKeySet(path.join(fleet, "key-set"), path.join(fleet, "root.key.pub"));
  assert.is(set.version, 1);
  const held = { goal: set.goalKeys, membership: set.membershipKeys };
  for (const use of ["goal", "membership"] as const) {
    const { keyId } = createKeySigner(await read(`${use}.key`), use);
    const keys = held[use].map((key) => [key.keyId, key.notAfter]);
    assert.equal(keys, [[keyId, undefined]]);
  }
  assert.match((await readHookSecret(path.join(fleet, "hook.secret"))) ?? "", /^[\w-]{43}$/);
  const nats = await readdir(path.join(fleet, "nats"), { recursive: true });
  assert.ok(nats.length > 3);
});

test("the authority signs servers' certificates that say no more than they should", async () => {
  const [authority, server] = [await x509("ca.crt"), await x509("server.crt")];
  assert.ok(authority.ca && !server.ca);
  assert.ok(server.checkIssued(authority) && server.verify(authority.publicKey));
  assert.ok(server.checkPrivateKey(createPrivateKey(await read("server.key"))));
  assert.not(server.verify(server.publicKey));
  for (const name of ["coordinator.example", "x.eu.example", "localhost"]) {
    assert.ok(server.checkHost(name), name);
  }
  for (const address of ["10.1.0.5", "127.0.0.1", "::1"]) assert.ok(server.checkIP(address));
  assert.is(server.checkHost("other.example"), undefined);
  assert.equal(server.keyUsage, ["1.3.6.1.5.5.7.3.1"], "of servers only");
  const days = (new Date(server.validTo).getTime() - Date.now()) / DAY_MS;
  assert.ok(days > 29.9 && days < 30.1);
});

/** What a client of TLS says of a server that has these. */
async function handshake(
  options: tls.TlsOptions,
  client: tls.ConnectionOptions,
): Promise<string | undefined> {
  const server = tls.createServer(options, (socket) => socket.end("hello"));
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = tls.connect({ host: "127.0.0.1", port, ...client });
  try {
    // With TLS 1.3 a server refuses a client once that is content.
    const [said] = (await once(socket, "data", { signal: AbortSignal.timeout(10_000) })) as [
      Buffer,
    ];
    return said.toString();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  } finally {
    socket.destroy();
    server.close();
  }
}

test("TLS takes them: a server by its name, a client by its certificate", async () => {
  const ca = await read("ca.crt");
  const own = { cert: await read("server.crt"), key: await read("server.key") };
  const other = path.join(folder, "other");
  await writeFleetFiles({ out: other, names: ["a.example"], regions: [], days: 1 });
  assert.not((await readdir(other)).includes("nats"));
  const stranger = await readFile(path.join(other, "ca.crt"), "utf8");

  assert.is(await handshake(own, { ca }), "hello");
  assert.is(await handshake(own, { ca, servername: "coordinator.example" }), "hello");
  const named = { ca, servername: "other.example" };
  assert.is(await handshake(own, named), "ERR_TLS_CERT_ALTNAME_INVALID");
  assert.is(await handshake(own, { ca: stranger }), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");

  const mutual = { ...own, ca, requestCert: true, rejectUnauthorized: true };
  const out = path.join(folder, "eu-agent");
  await writeCertificate({ authority: fleet, out, use: "client", names: ["eu-agent"], days: 1 });
  const [cert, key] = await Promise.all([".crt", ".key"].map((end) => readFile(out + end, "utf8")));
  assert.equal(new X509Certificate(cert ?? "").keyUsage, ["1.3.6.1.5.5.7.3.2"]);
  const shown = { cert: cert ?? "", key: key ?? "" };
  assert.is(await handshake(mutual, { ca, ...shown }), "hello");
  assert.is.not(await handshake(mutual, { ca }), "hello");
  assert.is.not(await handshake(mutual, { ca, ...own }), "hello", "a server's is no client's");
  assert.is.not(await handshake(shown, { ca, servername: "eu-agent" }), "hello", "nor vice versa");
});

test("replaces nothing, and leaves nothing half done", async () => {
  const before = await read("goal.key");
  const options = { names: ["a.example"], regions: [], days: 1 };
  const again = await failure(writeFleetFiles({ ...options, out: fleet }));
  assert.match(again.message, /is there already: keys in use must not be lost/);
  assert.is(await read("goal.key"), before);
  const file = path.join(folder, "file");
  await writeFile(file, "");
  assert.match((await failure(writeFleetFiles({ ...options, out: file }))).message, /is there/);
  const fresh = path.join(folder, "fresh");
  const wrong = { ...options, out: fresh, names: ["a..b"] };
  assert.instance(await failure(writeFleetFiles(wrong)), CertificateError);
  const left = (await readdir(folder)).filter((name) => name.includes(".new-") || name === "fresh");
  assert.equal(left, []);
  await mkdir(fresh);
  await writeFleetFiles({ ...options, out: `${fresh}/` });
  const certificate = { authority: fresh, names: ["x"], use: "server" as const, days: 1 };
  const taken = await failure(
    writeCertificate({ ...certificate, out: path.join(fresh, "server") }),
  );
  assert.is((taken as NodeJS.ErrnoException).code, "EEXIST");
  await writeFile(path.join(fresh, "ca.key"), "no key");
  const out = path.join(fresh, "next");
  assert.instance(await failure(writeCertificate({ ...certificate, out })), CertificateError);
});

test("names are hosts' or addresses, and nothing else", () => {
  for (const name of ["a", "a.b-c.d", "*.x.example", "1.2.3.4", "fe80::1"]) {
    assert.is(checkName(name), name);
  }
  for (const name of ["", "a b", "A", "a..b", "-a", "a.*", "*", "a/b", "a\n", "x".repeat(64)]) {
    assert.throws(() => checkName(name), /not a host name/, name);
  }
});

test.run();
