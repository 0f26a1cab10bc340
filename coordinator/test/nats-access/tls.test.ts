import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { startNats } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createAuthority } from "../../src/init/certificates.js";
import { connectNats, type NatsServers } from "../../src/nats.js";
import { readCredentials } from "../../src/nats-access/credentials-file.js";
import { silent } from "../postgres.js";
import { CERTIFICATE, CERTIFICATE_KEY } from "./certificate.js";
import { startWorld, type World } from "./world.js";

const test = suite("NATS with TLS");
let dir: string;
let world: World;
test.before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "slipway-nats-tls-"));
  const [certFile, keyFile] = [path.join(dir, "server.crt"), path.join(dir, "server.key")];
  await writeFile(certFile, CERTIFICATE);
  await writeFile(keyFile, CERTIFICATE_KEY, { mode: 0o600 });
  world = await startWorld({ tls: { certFile, keyFile } });
});
test.after(async () => {
  await world?.close();
  await rm(dir, { recursive: true, force: true });
});

const attempt = async (servers: NatsServers): Promise<string> => {
  try {
    const { connection } = await connectNats(servers, silent);
    await connection.flush();
    await connection.close();
    return "connected";
  } catch (error) {
    const { code, message } = error as Error & { code?: unknown };
    return `${String(code)} ${message}`;
  }
};

test("connects to who has a certificate that the CA signed, and to nobody else", async () => {
  const credentials = await readCredentials(path.join(world.out, "coordinator.creds"));
  const urls = [`localhost:${world.server.port}`];
  const caFile = path.join(dir, "server.crt");
  assert.is(await attempt({ urls, credentials, caFile }), "connected");
  assert.match(
    await attempt({ urls, credentials }),
    /NATS server at localhost:\d+ has a certificate that is not trusted \(\w*SELF_SIGNED\w*\): name .*--nats-ca/,
  );
  const other = path.join(dir, "other.crt");
  const { certificate } = await createAuthority(1);
  await writeFile(other, certificate);
  assert.match(
    await attempt({ urls, credentials, caFile: other }),
    /NATS server at localhost:\d+ has a certificate that --nats-ca .*other\.crt did not sign/,
  );
  const plain = await startNats();
  try {
    const answer = await attempt({ urls: [plain.url], credentials, caFile });
    assert.match(answer, /NATS server at .* offers no TLS, which --nats-ca .*server\.crt asks for/);
  } finally {
    await plain.stop();
  }
});

test("credentials that cannot be used are refused at the start", async () => {
  const file = path.join(dir, "some.creds");
  const reason = (): Promise<string> => readCredentials(file).then(String, (e: Error) => e.message);
  assert.match(await reason(), /some\.creds cannot be read: ENOENT/);
  await writeFile(file, "nothing of use");
  assert.match(await reason(), /some\.creds holds no NATS credentials/);
});

test.run();
