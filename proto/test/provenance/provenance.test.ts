import { generateKeyPairSync, sign } from "node:crypto";
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SignedProvenance } from "../../gen/slipway/v1/provenance.js";
import { Role } from "../../gen/slipway/v1/swarm.js";
import { rawPublicKey, shortKeyId } from "../../src/ed25519.js";
import { PROVENANCE_MAX_BYTES } from "../../src/names.js";
import { decodeEnvelope, encodeEnvelope, preAuthEncoding } from "../../src/provenance/envelope.js";
import {
  decodeProvenance,
  signProvenance,
  verifyProvenance,
} from "../../src/provenance/provenance.js";
import {
  type BuildFacts,
  provenanceStatement,
  withoutCredentials,
} from "../../src/provenance/statement.js";
import {
  builderKey,
  certify,
  changed,
  check,
  expireTime,
  facts,
  membershipKey,
  refusal,
  sealed,
  times,
} from "./fixtures.js";

const other = generateKeyPairSync("ed25519");
const signer = {
  certificate: certify(),
  publicKey: rawPublicKey(builderKey.publicKey),
  sign: (bytes: Buffer) => sign(null, bytes, builderKey.privateKey),
};

const at = (name: string): string => `predicate.runDetails.metadata.${name}`;
const json = (value: unknown) => () => Buffer.from(JSON.stringify(value));
const flip = (payload: Buffer): Buffer => {
  const copy = Buffer.from(payload);
  copy.writeUInt8(copy.readUInt8(100) ^ 1, 100);
  return copy;
};

test("what a builder signs is verified, with who signed it and when", () => {
  const signed = signProvenance(facts, times, signer);
  const { publicKey, ...verified } = verifyProvenance(decodeProvenance(signed), check);
  assert.equal(verified, {
    ...times,
    builderId: "b1",
    keyId: shortKeyId(builderKey.publicKey),
    membershipKeyId: shortKeyId(membershipKey.publicKey),
    expireTime,
  });
  assert.ok(publicKey.equals(builderKey.publicKey));
  // Any of the fleet's keys will do, and without one the certificate is believed.
  const membershipKeys = [other.publicKey, membershipKey.publicKey];
  assert.ok(verifyProvenance(sealed(), { ...check, membershipKeys }).membershipKeyId);
  const open = { ...check, membershipKeys: undefined };
  const unknown = certify({}, other.privateKey);
  assert.is(verifyProvenance(sealed({ certificate: unknown }), open).membershipKeyId, undefined);
});

test("the statement is what SLSA's readers expect", () => {
  assert.equal(provenanceStatement(facts, times), {
    _type: "https://in-toto.io/Statement/v1",
    subject: [
      { name: "shop", digest: { sha256: "a".repeat(64) }, annotations: { sizeBytes: 1234 } },
    ],
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "urn:slipway:build:v1",
        externalParameters: {
          repository: "https://example.com/shop.git",
          commit: "c".repeat(40),
          application: "shop",
          revision: 3,
          platform: "linux/x64",
        },
        internalParameters: {
          // printf '["make","release"]' | sha256sum
          commandDigest: {
            sha256: "772eb584db398d2b868a644835065bc39290f7eeb8693eb6545a249e2ee3bcd1",
          },
        },
        resolvedDependencies: [
          { uri: "https://example.com/shop.git", digest: { gitCommit: "c".repeat(40) } },
        ],
      },
      runDetails: {
        builder: { id: "urn:slipway:builder:b1" },
        metadata: {
          invocationId: "01920000-0000-7000-8000-000000000001/2",
          startedOn: "2030-01-01T10:00:00.000Z",
          finishedOn: "2030-01-01T10:01:00.500Z",
        },
      },
    },
  });
});

test("an envelope is signed and written as DSSE says", () => {
  // The example of DSSE's protocol.md.
  const payload = Buffer.from("hello world");
  const payloadType = "http://example.com/HelloWorld";
  const encoding = "DSSEv1 29 http://example.com/HelloWorld 11 hello world";
  assert.is(preAuthEncoding(payloadType, payload).toString(), encoding);
  const envelope = {
    payloadType,
    payload,
    signatures: [{ keyId: "k", signature: Buffer.from([251, 255]) }],
  };
  const json = encodeEnvelope(envelope).toString();
  assert.equal(JSON.parse(json), {
    payloadType,
    payload: "aGVsbG8gd29ybGQ=",
    signatures: [{ keyid: "k", sig: "+/8=" }],
  });
  assert.equal(decodeEnvelope(Buffer.from(json)), envelope);
  // URL-safe, without a key id, and with what later versions may add.
  const foreign = {
    payloadType,
    payload: "aGVsbG8gd29ybGQ",
    signatures: [{ sig: "-_8", extra: 1 }],
    more: {},
  };
  assert.equal(decodeEnvelope(Buffer.from(JSON.stringify(foreign))), {
    ...envelope,
    signatures: [{ keyId: "", signature: Buffer.from([251, 255]) }],
  });
});

const PARAMETERS = "predicate.buildDefinition.externalParameters";
const tampered: [path: string, value: unknown, words: RegExp][] = [
  ["_type", "https://in-toto.io/Statement/v0.1", /_type is "https:.*v0.1", not/],
  ["subject", [], /subject must have 1 of its kind, not 0/],
  ["subject", undefined, /subject must have 1/],
  ["subject.1", { name: "till" }, /subject must have 1 of its kind, not 2/],
  ["subject.0.name", "till", /subject\[0\]\.name is "till", not "shop"/],
  ["subject.0.digest", { sha512: "a".repeat(64) }, /subject\[0\]\.digest\.sha256 is missing/],
  ["subject.0.digest.sha256", "b".repeat(64), /subject\[0\]\.digest\.sha256 is "bbb/],
  ["subject.0.annotations.sizeBytes", 1_235, /sizeBytes is 1235, not 1234/],
  ["subject.0.annotations.sizeBytes", "1234", /sizeBytes is "1234", not 1234/],
  ["predicateType", "https://slsa.dev/provenance/v0.2", /predicateType is/],
  ["predicate", null, /predicate is null/],
  ["predicate.buildDefinition", [], /predicate\.buildDefinition is \[\]/],
  ["predicate.buildDefinition.buildType", "urn:other:v1", /buildType is "urn:other:v1"/],
  [`${PARAMETERS}.repository`, "https://evil.example/shop.git", /\.repository is "https:\/\/evil/],
  [`${PARAMETERS}.commit`, "d".repeat(40), /externalParameters\.commit is "ddd.*not "ccc/],
  [`${PARAMETERS}.application`, "till", /externalParameters\.application is "till", not "shop"/],
  [`${PARAMETERS}.revision`, 4, /revision is 4, not 3/],
  [`${PARAMETERS}.platform`, "linux/arm64", /platform is "linux\/arm64"/],
  [`${PARAMETERS}.trunk`, "main", /externalParameters has "trunk", which is not known/],
  [
    "predicate.buildDefinition.internalParameters.commandDigest.sha256",
    "e".repeat(64),
    /commandDigest\.sha256 is "eee/,
  ],
  [
    "predicate.buildDefinition.resolvedDependencies.0.digest.gitCommit",
    "d".repeat(40),
    /resolvedDependencies\[0\]\.digest\.gitCommit is "ddd/,
  ],
  ["predicate.buildDefinition.resolvedDependencies.0.uri", "file:///x", /Dependencies\[0\]\.uri/],
  ["predicate.runDetails.builder.id", "urn:slipway:builder:b2", /builder\.id is .*:b2", not/],
  [
    "predicate.runDetails.metadata.invocationId",
    `${facts.buildId}/1`,
    /invocationId is ".*\/1", not ".*\/2"/,
  ],
];

test("a statement that differs in any field is refused, and says in which", () => {
  for (const [path, value, words] of tampered) {
    const found = refusal(() =>
      verifyProvenance(sealed({ statement: changed(path, value) }), check),
    );
    assert.is(found?.[0], "mismatch", path);
    assert.match(found?.[1] ?? "", words);
  }
});

test("it is of one build alone: whatever differs of that is found", () => {
  const { artifact } = facts;
  const others: Partial<BuildFacts>[] = [
    { buildId: "01920000-0000-7000-8000-000000000002" },
    { attempt: 3 },
    { application: "till" },
    { applicationRevision: 4 },
    { repository: "https://example.com/till.git" },
    { commitSha: "d".repeat(40) },
    { command: ["make release"] },
    { artifact: { ...artifact, digest: `sha256:${"b".repeat(64)}` } },
    { artifact: { ...artifact, sizeBytes: 1 } },
    { artifact: { ...artifact, platform: "darwin/arm64" } },
  ];
  for (const change of others) {
    const of = { ...check, facts: { ...facts, ...change } };
    assert.is(
      refusal(() => verifyProvenance(sealed(), of))?.[0],
      "mismatch",
      Object.keys(change)[0],
    );
  }
  const ofOther = { ...check, facts: { ...facts, builderId: "b2" } };
  assert.equal(
    refusal(() => verifyProvenance(sealed(), ofOther)),
    ["stranger", 'the certificate is of builder "b1", not of "b2"'],
  );
});

test("who signed is found out, whatever they say", () => {
  const theirs = rawPublicKey(other.publicKey);
  const cases: [Parameters<typeof sealed>[0], string, RegExp][] = [
    // Another builder, with its own certificate, with that of this one, and with one of its own make.
    [
      { key: other.privateKey, certificate: certify({ id: "b2", publicKey: theirs }) },
      "stranger",
      /of builder "b2", not of "b1"/,
    ],
    [{ key: other.privateKey }, "forged", /not signed by the certificate's key/],
    [
      { key: other.privateKey, certificate: certify({ publicKey: theirs }, other.privateKey) },
      "untrusted",
      /not signed by the membership key [0-9a-f]{16}$/,
    ],
    // A host, also one of the same name.
    [
      { key: other.privateKey, certificate: certify({ role: Role.HOST, publicKey: theirs }) },
      "stranger",
      /the certificate is of host "b1", not of a builder/,
    ],
    [{ certificate: certify({ role: Role.REGION }) }, "stranger", /of region "b1"/],
    [{ certificate: certify({ role: 99 as Role }) }, "stranger", /of an unknown role/],
    [{ certificate: certify({ publicKey: Buffer.alloc(31) }) }, "malformed", /no key, or no end/],
    [{ certificate: certify({ expireTime: undefined }) }, "malformed", /no key, or no end/],
    [
      { certificate: { ...certify(), signature: Buffer.alloc(63) } },
      "untrusted",
      /not signed by the membership key/,
    ],
    [
      { certificate: certify({ expireTime: times.finishedOn }) },
      "expired",
      /ended 2030-01-01T10:01/,
    ],
    [
      { certificate: certify({ expireTime: check.time }) },
      "expired",
      /and the build 2030-01-01T10/,
    ],
  ];
  for (const [change, fault, words] of cases) {
    const found = refusal(() => verifyProvenance(sealed(change), check));
    assert.is(found?.[0], fault, words.source);
    assert.match(found?.[1] ?? "", words);
  }
  const bare = { ...sealed(), certificate: undefined };
  assert.is(refusal(() => verifyProvenance(bare, check))?.[0], "untrusted");
});

test("times that are none, or run backwards, are refused", () => {
  for (const value of [undefined, 0, "yesterday", "2030-13-01T00:00:00Z", "2030-01-01 10:00:00Z"]) {
    for (const name of ["startedOn", "finishedOn"]) {
      const statement = changed(at(name), value);
      const found = refusal(() => verifyProvenance(sealed({ statement }), check));
      assert.equal([found?.[0], found?.[1].includes(name)], ["malformed", true], String(value));
    }
  }
  const statement = changed(at("startedOn"), "2030-01-01T10:01:01Z");
  const found = refusal(() => verifyProvenance(sealed({ statement }), check));
  assert.match(found?.[1] ?? "", /finished before it started/);
});

test("what is no envelope, or holds something else, is refused as malformed", () => {
  const cases: [Parameters<typeof sealed>[0], RegExp][] = [
    [{ payloadType: "application/json" }, /holds "application\/json", not application\/vnd/],
    [{ payload: Buffer.from("[]") }, /statement is no JSON object, but \[\]/],
    [{ payload: Buffer.from([0xff, 0x22]) }, /statement is no JSON/],
    [{ forge: () => Buffer.from("{") }, /envelope is no JSON/],
    [{ forge: json("x") }, /envelope is no JSON object, but "x"/],
    [{ forge: json({}) }, /no payloadType/],
    [{ forge: json({ payloadType: "x" }) }, /not signed/],
    [{ forge: json({ payloadType: "x", signatures: [] }) }, /not signed/],
    [
      { forge: json({ payloadType: "x", signatures: Array.from({ length: 9 }, () => ({})) }) },
      /more than 8/,
    ],
    [
      { forge: json({ payloadType: "x", signatures: [1], payload: "eA==" }) },
      /signature is not in/,
    ],
    [{ forge: json({ payloadType: "x", signatures: [1], payload: "e A" }) }, /payload is not in/],
    [
      { forge: json({ payloadType: "x", signatures: [{ keyid: 1, sig: "eA" }], payload: "eA" }) },
      /keyid is no text/,
    ],
  ];
  for (const [change, words] of cases) {
    const found = refusal(() => verifyProvenance(sealed(change), check));
    assert.is(found?.[0], "malformed", words.source);
    assert.match(found?.[1] ?? "", words);
  }
});

test("a payload changed after it was signed is forged, and so is one of another type", () => {
  const cases: Parameters<typeof sealed>[0][] = [
    { forge: (envelope) => encodeEnvelope({ ...envelope, payload: flip(envelope.payload) }) },
    { forge: (envelope) => encodeEnvelope({ ...envelope, payload: Buffer.from("{}") }) },
    {
      payloadType: "x",
      forge: (e) => encodeEnvelope({ ...e, payloadType: "application/vnd.in-toto+json" }),
    },
    {
      forge: (envelope) =>
        encodeEnvelope({ ...envelope, signatures: [{ keyId: "", signature: Buffer.alloc(64) }] }),
    },
  ];
  for (const change of cases) {
    assert.is(refusal(() => verifyProvenance(sealed(change), check))?.[0], "forged");
  }
});

test("what is too large is not looked at, and neither made", () => {
  const large = Buffer.alloc(PROVENANCE_MAX_BYTES + 1);
  assert.is(refusal(() => decodeProvenance(large))?.[0], "oversized");
  const wide = { ...sealed(), envelope: large };
  assert.is(refusal(() => verifyProvenance(wide, check))?.[0], "oversized");
  const repository = "x".repeat(PROVENANCE_MAX_BYTES);
  const found = refusal(() => signProvenance({ ...facts, repository }, times, signer));
  assert.is(found?.[0], "oversized");
});

test("garbage is refused, and with nothing else than a refusal", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const found = refusal(() => verifyProvenance(decodeProvenance(bytes), check));
      assert.ok(found !== undefined);
    }),
  );
  const good = Buffer.from(SignedProvenance.encode(sealed()).finish());
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const bytes = Buffer.from(good);
      bytes.writeUInt8(bytes.readUInt8(at) ^ by, at);
      // Whatever still passes says the same.
      refusal(() => {
        const { builderId } = verifyProvenance(decodeProvenance(bytes), check);
        assert.is(builderId, "b1");
      });
    }),
  );
});

test("credentials do not get into a provenance", () => {
  const table = [
    ["https://ada:secret@example.com/shop.git", "https://example.com/shop.git"],
    ["https://token@example.com/shop.git", "https://example.com/shop.git"],
    ["https://a:p@ss@example.com/shop.git", "https://example.com/shop.git"],
    ["ssh://git@example.com/shop.git", "ssh://git@example.com/shop.git"],
    ["ssh://git:secret@example.com/shop.git", "ssh://git@example.com/shop.git"],
    ["git@example.com:shop.git", "git@example.com:shop.git"],
    ["https://example.com/a@b/shop.git", "https://example.com/a@b/shop.git"],
    ["/srv/shop.git", "/srv/shop.git"],
  ] as const;
  for (const [repository, name] of table) assert.is(withoutCredentials(repository), name);
  const secret = { ...facts, repository: "https://zoe:hush@example.com/shop.git" };
  assert.not.match(JSON.stringify(provenanceStatement(secret, times)), /hush|zoe/);
});

test.run();
