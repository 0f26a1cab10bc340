import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import {
  type BuildFacts,
  Membership,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  type MembershipCertificate,
  rawPublicKey,
  Role,
  shortKeyId,
  signProvenance,
} from "@slipway/proto";

/** A member's key with its certificate, and what it signs. */
export class TestSigner {
  readonly #keys = generateKeyPairSync("ed25519");
  readonly certificate: MembershipCertificate;

  constructor(membershipKey: KeyObject, change: Partial<Membership> = {}) {
    const membership: Membership = {
      publicKey: this.publicKey,
      id: "b1",
      region: "",
      role: Role.BUILDER,
      expireTime: new Date(Date.now() + 3_600_000),
      ...change,
    };
    const payload = Buffer.from(Membership.encode(membership).finish());
    const message = Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]);
    this.certificate = { payload, signature: sign(null, message, membershipKey) };
  }

  get publicKey(): Buffer {
    return rawPublicKey(this.#keys.publicKey);
  }

  get keyId(): string {
    return shortKeyId(this.#keys.publicKey);
  }

  /** What it says of a build; with another's certificate, if given. */
  sign(facts: BuildFacts, certificate = this.certificate): Buffer {
    const now = new Date();
    return signProvenance(
      facts,
      { startedOn: now, finishedOn: now },
      {
        certificate,
        publicKey: this.publicKey,
        sign: (bytes) => sign(null, bytes, this.#keys.privateKey),
      },
    );
  }
}
