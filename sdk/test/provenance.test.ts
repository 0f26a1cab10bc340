import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { status } from "@grpc/grpc-js";
import {
  BuildStatus,
  Membership,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  rawPublicKey,
  Role,
  shortKeyId,
  SignedProvenance,
  signProvenance,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createClient, ProvenanceRefusedError } from "../src/index.js";
import { envelopeText } from "../src/cli/envelope-text.js";
import { type Ended, runCli } from "./support/run-cli.js";
import { Refusal, ScriptedServer } from "./support/scripted-server.js";

const test = suite("provenance");
const membership = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519");
const builder = generateKeyPairSync("ed25519");
const SHA = "0123456789abcdef0123456789abcdef01234567";
const artifact = {
  digest: `sha256:${"a".repeat(64)}`,
  sizeBytes: 10,
  chunkCount: 1,
  platform: "linux/x64",
};
const finishTime = new Date("2030-01-01T00:01:00Z");
const summary = {
  builderId: "b1",
  keyId: shortKeyId(builder.publicKey),
  verified: true,
  membershipKeyId: "00112233aabbccdd",
  time: finishTime,
};
const built = (id: string) => ({
  id,
  application: "web",
  applicationRevision: 2,
  commitSha: SHA,
  status: BuildStatus.SUCCEEDED,
  attempt: 1,
  builderId: "b1",
  artifact: id === "tampered" ? { ...artifact, digest: `sha256:${"b".repeat(64)}` } : artifact,
  finishTime,
  provenance: id === "unsigned" ? undefined : { ...summary, verified: id !== "unverified" },
});

function certify({ role = Role.BUILDER, expireTime = new Date("2030-01-05T00:00:00Z") }) {
  const publicKey = rawPublicKey(builder.publicKey);
  const region = role === Role.BUILDER ? "" : "eu";
  const payload = Buffer.from(
    Membership.encode({ publicKey, id: "b1", region, role, expireTime }).finish(),
  );
  const message = Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]);
  return { payload, signature: sign(null, message, membership.privateKey) };
}

/** What the builder signed of a build; ids choose what is wrong with it. */
function signed(id: string): SignedProvenance {
  const facts = {
    buildId: id === "replayed" ? "another" : id,
    attempt: 1,
    builderId: "b1",
    application: "web",
    applicationRevision: 2,
    repository: "https://example.com/web.git",
    commitSha: id === "elsewhere" ? "f".repeat(40) : SHA,
    command: ["make"],
    artifact,
  };
  const key = id === "forged" ? stranger : builder;
  const bytes = signProvenance(
    facts,
    { startedOn: new Date("2030-01-01T00:00:00Z"), finishedOn: finishTime },
    {
      certificate: certify({
        ...(id === "host" ? { role: Role.HOST } : {}),
        ...(id === "ended" ? { expireTime: finishTime } : {}),
      }),
      publicKey: rawPublicKey(builder.publicKey),
      sign: (message) => sign(null, message, key.privateKey),
    },
  );
  return SignedProvenance.decode(bytes);
}

const server = new ScriptedServer({
  unary: {
    getBuild: ({ id }: { id: string }) => {
      if (id === "failed") {
        return { build: { ...built(id), status: BuildStatus.FAILED, artifact: undefined } };
      }
      return { build: built(id) };
    },
    getBuildProvenance: ({ id }: { id: string }) => {
      if (id === "unsigned") {
        throw new Refusal(status.NOT_FOUND, `build ${id} is not signed`, "PROVENANCE_NOT_FOUND");
      }
      if (id === "missing") throw new Refusal(status.NOT_FOUND, "no build", "BUILD_NOT_FOUND");
      return { provenance: signed(id), summary };
    },
    getApplication: ({ name, revision }: { name: string; revision: number }) => ({
      application: {
        name,
        revision,
        spec: {
          source: { repository: "https://ann:secret@example.com/web.git" },
          build: { command: ["make"] },
        },
      },
    }),
  },
});
let folder: string;
let keyFile: string;
let otherFile: string;
const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }) as string;

test.before(async () => {
  await server.start();
  folder = await mkdtemp(path.join(tmpdir(), "slipway-provenance-"));
  [keyFile, otherFile] = ["membership.pub", "other.pub"].map((name) => path.join(folder, name)) as [
    string,
    string,
  ];
  await writeFile(keyFile, pem(membership.publicKey));
  await writeFile(otherFile, pem(stranger.publicKey));
});
test.after(async () => {
  server.kill();
  await rm(folder, { recursive: true, force: true });
});

const slipway = (...args: string[]): Promise<Ended> =>
  runCli(["--coordinator", server.address, ...args]);
const verify = (id: string, ...args: string[]): Promise<Ended> =>
  slipway("build", "verify", id, "--membership-public-key", keyFile, ...args);

test("build get shows who signed, and --provenance what", async () => {
  const { stdout } = await slipway("build", "get", "good");
  const key = shortKeyId(builder.publicKey);
  assert.match(stdout, `that b1 built it from 0123456789ab, by its key ${key}; verified by`);
  assert.match((await slipway("build", "get", "unverified")).stdout, /; not verified: the coord/);
  assert.match((await slipway("build", "get", "unsigned")).stdout, /signed +no\n/);
  const printed = await slipway("build", "get", "good", "--provenance");
  const envelope = JSON.parse(printed.stdout) as { payload: string; payloadType: string };
  assert.is(envelope.payloadType, "application/vnd.in-toto+json");
  const statement = JSON.parse(Buffer.from(envelope.payload, "base64").toString()) as object;
  assert.is(
    (statement as { predicateType: string }).predicateType,
    "https://slsa.dev/provenance/v1",
  );
  const none = await slipway("build", "get", "unsigned", "--provenance");
  assert.equal([none.code, none.stdout], [3, ""]);
});

test("build verify: exit code 0 and who built what, where everything fits", async () => {
  const { code, stdout, stderr } = await verify("good");
  assert.equal([code, stderr], [0, ""]);
  for (const words of [/build +good verified/, /repository +https:\/\/example\.com\/web\.git\n/]) {
    assert.match(stdout, words);
  }
  assert.match(stdout, new RegExp(`commit +${SHA}\n`));
  // Of several keys one must fit.
  const wanted = ["--repository", "https://example.com/web.git", "--commit", SHA, "--json"];
  const rotated = await verify("good", "--membership-public-key", otherFile, ...wanted);
  assert.is(rotated.code, 0, rotated.stderr);
  const { verified } = JSON.parse(rotated.stdout) as { verified: Record<string, string> };
  assert.equal(
    [verified["builderId"], verified["digest"], verified["builderPublicKey"]],
    ["b1", artifact.digest, pem(builder.publicKey)],
  );
});

for (const [id, args, words] of [
  ["tampered", [], /subject\[0\]\.digest\.sha256 is "aaa/],
  ["replayed", [], /invocationId is "another\/1", not "replayed\/1"/],
  ["elsewhere", [], /externalParameters\.commit is "fff/],
  ["forged", [], /not signed by the certificate's key/],
  ["host", [], /certificate is of host "b1", not of a builder/],
  ["ended", [], /certificate ended 2030-01-01T00:01:00.000Z/],
  ["unsigned", [], /build unsigned is not signed/],
  ["failed", [], /build failed has made nothing that could be signed/],
  ["good", ["--repository", "https://evil.example/web.git"], /repository is "https:\/\/example/],
  ["good", ["--commit", "f".repeat(40)], /externalParameters\.commit is "0123/],
] as const) {
  test(`build verify: exit code 1 and why, for ${id} ${args.join(" ")}`, async () => {
    const { code, stdout, stderr } = await verify(id, ...args);
    assert.equal([code, stdout], [1, ""]);
    assert.match(stderr, words);
  });
}

test("build verify: a key that the fleet does not have, none, and a build that is not there", async () => {
  const args = ["build", "verify", "good", "--membership-public-key"];
  const other = await slipway(...args, otherFile);
  assert.is(other.code, 1);
  assert.match(other.stderr, /not signed by the membership key [0-9a-f]{16}\n/);
  const file = path.join(folder, "none.pub");
  await writeFile(file, "no key");
  const none = await slipway(...args, file);
  assert.is(none.code, 2);
  assert.match(none.stderr, /none\.pub: a membership public key is no public key in PEM/);
  const { privateKey } = generateKeyPairSync("ed25519");
  await writeFile(file, privateKey.export({ type: "pkcs8", format: "pem" }));
  const secret = await slipway(...args, file);
  assert.is(secret.code, 2);
  assert.match(secret.stderr, /none\.pub: a membership public key is no public key in PEM/);
  assert.is((await verify("missing")).code, 3);
  assert.is((await slipway("build", "verify", "good")).code, 2);
});

test("the library says the same, with what is wrong for programs", async () => {
  const client = createClient({ coordinator: server.address });
  try {
    const membershipPublicKeys = [membership.publicKey, pem(stranger.publicKey)];
    const { build, provenance, repository } = await client.builds.verify("good", {
      membershipPublicKeys,
    });
    assert.equal([build.id, repository], ["good", "https://example.com/web.git"]);
    assert.is(provenance.membershipKeyId, shortKeyId(membership.publicKey));
    const refused = await client.builds.verify("forged", { membershipPublicKeys }).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.instance(refused, ProvenanceRefusedError);
    assert.is((refused as ProvenanceRefusedError).fault, "forged");
    const keys = { membershipPublicKeys: [membership.privateKey] };
    const bad = await client.builds.verify("good", keys).catch((error: unknown) => error);
    assert.instance(bad, TypeError);
  } finally {
    client.close();
  }
});

test("an envelope is printed as plain ASCII", () => {
  assert.is(envelopeText('{ "a":"\u202e\u007f" }'), '{"a":"\\u202e\\u007f"}');
  assert.throws(() => envelopeText("{"), /no envelope in JSON/);
});

test.run();
