import { generateKeyPairSync, sign } from "node:crypto";
import {
  CONTROL_FRAME_MAX_BYTES,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  Membership,
  Role,
} from "@slipway/proto";
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type Control,
  ControlDecoder,
  ProtocolError,
  encodeControl,
} from "../../src/swarm/frames.js";
import { MembershipError, membershipKeysOf, verifyMembership } from "../../src/swarm/membership.js";

const plain = { noNullPrototype: true };
const u32 = fc.nat(0xffff_ffff);
const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((all) => Buffer.from(all));
const artifact = bytes(40);
const control: fc.Arbitrary<Control> = fc.oneof(
  fc
    .record({ artifact, chunks: fc.array(u32, { maxLength: 50 }) }, plain)
    .map((value): Control => ({ $case: "have", value })),
  fc
    .record({ artifact, bitfield: bytes(5_000), complete: fc.boolean() }, plain)
    .map((value): Control => ({ $case: "availability", value })),
  fc
    .record({ artifact, offset: u32, totalBytes: u32, data: bytes(20_000) }, plain)
    .map((value): Control => ({ $case: "manifestPart", value })),
  fc
    .record({ artifact, interested: fc.boolean() }, plain)
    .map((value): Control => ({ $case: "interest", value })),
  fc
    .record({ host: fc.string(), port: u32, identity: bytes(20), key: bytes(40) }, plain)
    .map((value): Control => ({ $case: "dataOffer", value })),
);
/** Where a stream is cut: sizes of its pieces, over and over. */
const cuts = fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 20 });

test("messages come through as they were said, however the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(control, { maxLength: 20 }), cuts, (messages, sizes) => {
      const said = Buffer.concat(messages.map(encodeControl));
      assert.equal(decode(said, sizes), { messages, broken: false });
    }),
  );
});

test("any bytes are messages or a broken protocol, and the same ones however they are cut", () => {
  const frame = fc.tuple(fc.oneof(fc.nat(80), u32), bytes(80)).map(([length, body]) => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(length);
    return Buffer.concat([header, body]);
  });
  const stream = fc.array(fc.oneof(bytes(300), frame, control.map(encodeControl)), {
    maxLength: 10,
  });
  fc.assert(
    fc.property(stream, cuts, (parts, sizes) => {
      const said = Buffer.concat(parts);
      assert.equal(decode(said, sizes), decode(said, [said.length + 1]));
    }),
    { numRuns: 500 },
  );
});

test("a long message that comes byte by byte is one message; a stranger may say less", () => {
  const data = Buffer.alloc(CONTROL_FRAME_MAX_BYTES - 100, 7);
  const message: Control = {
    $case: "manifestPart",
    value: { artifact: Buffer.alloc(32), offset: 0, totalBytes: 1, data },
  };
  const said = encodeControl(message);
  assert.equal(decode(said, [1]), { messages: [message], broken: false });
  const stranger = new ControlDecoder();
  assert.throws(
    () => [...stranger.push(said.subarray(0, 4))],
    (error: unknown) => error instanceof ProtocolError,
  );
});

const fleet = generateKeyPairSync("ed25519");
const other = generateKeyPairSync("ed25519");
const NOW = Date.UTC(2030, 0, 1);
const key = Buffer.alloc(32, 1);
const expected = {
  keys: membershipKeysOf(fleet.publicKey),
  remotePublicKey: key,
  region: "eu",
  now: NOW,
};
const signed = (payload: Uint8Array, by = fleet.privateKey): Buffer =>
  sign(null, Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]), by);

test("a certificate is accepted if the fleet signed it for this key, region and time, and only then", () => {
  const said = fc.record({
    publicKey: fc.constantFrom(key, Buffer.alloc(32, 2), Buffer.alloc(0), Buffer.alloc(33, 1)),
    region: fc.constantFrom("eu", "us", ""),
    role: fc.constantFrom(Role.UNSPECIFIED, Role.HOST, Role.REGION, 3 as Role, 77 as Role),
    expireMs: fc.constantFrom(NOW - 1, NOW, NOW + 1, NOW + 1_000_000, undefined),
    honest: fc.boolean(),
  });
  fc.assert(
    fc.property(said, ({ publicKey, region, role, expireMs, honest }) => {
      const expireTime = expireMs === undefined ? undefined : new Date(expireMs);
      const membership = { publicKey, id: "h1", region, role, expireTime };
      const payload = Buffer.from(Membership.encode(membership).finish());
      const signature = signed(payload, honest ? fleet.privateKey : other.privateKey);
      const valid =
        honest &&
        publicKey.equals(key) &&
        region === "eu" &&
        (role === Role.HOST || role === Role.REGION) &&
        (expireMs ?? 0) > NOW;
      assert.is(accepts({ payload, signature }), valid);
    }),
    { numRuns: 300 },
  );
});

test("whatever is changed in a certificate, it is refused", () => {
  const expireTime = new Date(NOW + 1_000);
  const membership = { publicKey: key, id: "h1", region: "eu", role: Role.HOST, expireTime };
  const payload = Buffer.from(Membership.encode(membership).finish());
  const signature = signed(payload);
  assert.ok(accepts({ payload, signature }));
  const change = fc.record({ at: fc.nat(1_000), to: fc.integer({ min: 1, max: 255 }) });
  fc.assert(
    fc.property(change, fc.boolean(), ({ at, to }, inPayload) => {
      const changed = Buffer.from(inPayload ? payload : signature);
      changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ to;
      const certificate = inPayload
        ? { payload: changed, signature }
        : { payload, signature: changed };
      assert.not(accepts(certificate));
    }),
    { numRuns: 300 },
  );
});

test("any bytes that the fleet signed are a membership or refused; any others are refused", () => {
  fc.assert(
    fc.property(bytes(200), bytes(100), (payload, signature) => {
      assert.not(accepts({ payload, signature }));
      assert.not(accepts({ payload, signature: signed(payload) }));
    }),
  );
});

function accepts(certificate: { payload: Buffer; signature: Buffer }): boolean {
  try {
    verifyMembership(certificate, expected);
    return true;
  } catch (error) {
    assert.instance(error, MembershipError);
    return false;
  }
}

/** What a member's stream says until it breaks the protocol. */
function decode(said: Buffer, sizes: number[]): { messages: Control[]; broken: boolean } {
  const decoder = new ControlDecoder();
  decoder.trust();
  const messages: Control[] = [];
  try {
    for (let at = 0, turn = 0; at < said.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1;
      for (const message of decoder.push(said.subarray(at, at + size))) messages.push(message);
      at += size;
    }
    return { messages, broken: false };
  } catch (error) {
    assert.instance(error, ProtocolError);
    return { messages, broken: true };
  }
}

test.run();
