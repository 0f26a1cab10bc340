import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import {
  JOIN_SIGNATURE_CONTEXT,
  JoinClaim,
  RENEW_SIGNATURE_CONTEXT,
  RenewClaim,
  Role,
  type JoinRequest,
  type RenewRequest,
} from "@slipway/proto";
import { nkeys } from "nats";

/** An agent's keys, and what it says with them. */
export class TestMember {
  readonly #privateKey: KeyObject = generateKeyPairSync("ed25519").privateKey;
  readonly #nats = nkeys.createUser();
  readonly id: string;
  readonly role: Role;
  readonly region: string;

  constructor(id: string, role = Role.HOST, region = role === Role.BUILDER ? "" : "eu") {
    this.id = id;
    this.role = role;
    this.region = region;
  }

  get publicKey(): Buffer {
    const jwk = createPrivateKey(this.#privateKey.export({ type: "pkcs8", format: "pem" })).export({
      format: "jwk",
    });
    return Buffer.from(jwk.x ?? "", "base64url");
  }

  get natsSeed(): Uint8Array {
    return this.#nats.getSeed();
  }

  claim(): JoinClaim {
    const { id, role, region, publicKey } = this;
    return { id, role, region, publicKey, natsPublicKey: this.#nats.getPublicKey() };
  }

  /** A request to join; changed after it was signed, or before. */
  joins({
    claim = {},
    forged = {},
  }: { claim?: Partial<JoinClaim>; forged?: Partial<JoinRequest> } = {}): JoinRequest {
    const bytes = Buffer.from(JoinClaim.encode({ ...this.claim(), ...claim }).finish());
    const message = Buffer.concat([Buffer.from(JOIN_SIGNATURE_CONTEXT), bytes]);
    return {
      claim: bytes,
      signature: sign(null, message, this.#privateKey),
      natsSignature: Buffer.from(this.#nats.sign(message)),
      ...forged,
    };
  }

  renews(time: Date | undefined, context = RENEW_SIGNATURE_CONTEXT): RenewRequest {
    const claim = Buffer.from(RenewClaim.encode({ id: this.id, time }).finish());
    const message = Buffer.concat([Buffer.from(context), claim]);
    return { claim, signature: sign(null, message, this.#privateKey) };
  }
}
