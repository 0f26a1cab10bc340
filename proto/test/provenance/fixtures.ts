import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import type { SignedProvenance } from "../../gen/slipway/v1/provenance.js";
import { Membership, type MembershipCertificate, Role } from "../../gen/slipway/v1/swarm.js";
import { rawPublicKey } from "../../src/ed25519.js";
import { MEMBERSHIP_SIGNATURE_CONTEXT, PROVENANCE_PAYLOAD_TYPE } from "../../src/names.js";
import { encodeEnvelope, type Envelope, preAuthEncoding } from "../../src/provenance/envelope.js";
import { type ProvenanceFault, ProvenanceRefusedError } from "../../src/provenance/refused.js";
import { type BuildFacts, provenanceStatement } from "../../src/provenance/statement.js";

export const membershipKey = generateKeyPairSync("ed25519");
export const builderKey = generateKeyPairSync("ed25519");

export const facts: BuildFacts = {
  buildId: "01920000-0000-7000-8000-000000000001",
  attempt: 2,
  builderId: "b1",
  application: "shop",
  applicationRevision: 3,
  repository: "https://example.com/shop.git",
  commitSha: "c".repeat(40),
  command: ["make", "release"],
  artifact: { digest: `sha256:${"a".repeat(64)}`, sizeBytes: 1_234, platform: "linux/x64" },
};
export const times = {
  startedOn: new Date("2030-01-01T10:00:00Z"),
  finishedOn: new Date("2030-01-01T10:01:00.5Z"),
};
/** When the coordinator heard of it. */
const time = new Date("2030-01-01T10:01:02Z");
export const expireTime = new Date("2030-01-05T00:00:00Z");
export const check = { facts, membershipKeys: [membershipKey.publicKey], time };

/** A certificate of a builder, but for what is changed. */
export function certify(
  change: Partial<Membership> = {},
  key: KeyObject = membershipKey.privateKey,
): MembershipCertificate {
  const publicKey = rawPublicKey(builderKey.publicKey);
  const membership = { publicKey, id: "b1", region: "", role: Role.BUILDER, expireTime, ...change };
  const payload = Buffer.from(Membership.encode(membership).finish());
  const message = Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]);
  return { payload, signature: sign(null, message, key) };
}

/** What a builder sends, but for what is changed; properly signed. */
export function sealed({
  statement = provenanceStatement(facts, times),
  payload = Buffer.from(JSON.stringify(statement)),
  payloadType = PROVENANCE_PAYLOAD_TYPE,
  key = builderKey.privateKey,
  certificate = certify(),
  forge = (envelope: Envelope) => encodeEnvelope(envelope),
}: {
  statement?: unknown;
  payload?: Buffer;
  payloadType?: string;
  key?: KeyObject;
  certificate?: MembershipCertificate | undefined;
  forge?: (envelope: Envelope) => Buffer;
} = {}): SignedProvenance {
  const signature = sign(null, preAuthEncoding(payloadType, payload), key);
  const envelope = forge({ payloadType, payload, signatures: [{ keyId: "", signature }] });
  return { envelope, certificate };
}

/** The statement of the facts with one field changed, by its path; undefined takes it out. */
export function changed(path: string, value: unknown): unknown {
  const statement: unknown = JSON.parse(JSON.stringify(provenanceStatement(facts, times)));
  const names = path.split(".");
  const last = names.pop() ?? "";
  let at = statement as Record<string, unknown>;
  for (const name of names) at = at[name] as Record<string, unknown>;
  at[last] = value;
  return statement;
}

/** Why it is refused: what fault, and in which words; undefined if it is not. */
export function refusal(run: () => unknown): [ProvenanceFault, string] | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof ProvenanceRefusedError) return [error.fault, error.message];
    throw error;
  }
  return undefined;
}
