import type { KeyObject } from "node:crypto";
import {
  type MemberGrant,
  Membership,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  type MembershipCertificate,
  Role,
  signedMessage,
} from "@slipway/proto";
import { failedPrecondition } from "../errors.js";
import type { Signer } from "../keys/signer.js";
import {
  issueNatsUser,
  NatsUserError,
  scopesOf,
  type NatsUserJwts,
} from "../nats-access/issue-user.js";
import type { IssuerKeys } from "../nats-access/keys.js";
import type { CheckedClaim } from "./claims.js";

/** For how long a grant holds. */
export interface Validity {
  issueTime: Date;
  expireTime: Date;
}

interface IssuerOptions {
  signer: Signer;
  /** How long what it grants holds. */
  validForMs: number;
  /** Sign the NATS users that members are, for as long as their certificates hold. Default: none. */
  natsKeys?: IssuerKeys | undefined;
  /** The root key's, as it is published now; empty for none. */
  keySet?: (() => Buffer) | undefined;
}

/** Makes what a member is given each time that it joins or renews. */
export class MemberIssuer {
  readonly #options: IssuerOptions;

  constructor(options: IssuerOptions) {
    this.#options = options;
  }

  /** Of the key that signs. */
  get publicKey(): KeyObject {
    return this.#options.signer.publicKey;
  }

  /** From so many milliseconds since 1970 on; whole ones, as the database keeps them. */
  validity(now: number): Validity {
    return { issueTime: new Date(now), expireTime: new Date(now + this.#options.validForMs) };
  }

  /** Whether it can be granted what it claims. @throws DomainError FAILED_PRECONDITION */
  check(member: CheckedClaim): void {
    const { natsKeys } = this.#options;
    if (natsKeys === undefined || !hasNatsUser(member)) return;
    try {
      scopesOf(natsKeys, member.region);
    } catch (error) {
      if (!(error instanceof NatsUserError)) throw error;
      throw failedPrecondition("REGION_WITHOUT_NATS", error.message);
    }
  }

  /** @throws SignerError if the certificate cannot be signed now. */
  async grant(member: CheckedClaim, { issueTime, expireTime }: Validity): Promise<MemberGrant> {
    const { keySet } = this.#options;
    const { regional = "", global = "" } = (await this.#natsUser(member, expireTime)) ?? {};
    return {
      certificate: await this.#certify(member, expireTime),
      issueTime,
      expireTime,
      keySet: keySet?.() ?? Buffer.alloc(0),
      natsJwt: regional,
      globalNatsJwt: global,
    };
  }

  async #natsUser(member: CheckedClaim, expireTime: Date): Promise<NatsUserJwts | undefined> {
    const { natsKeys } = this.#options;
    if (natsKeys === undefined || !hasNatsUser(member)) return undefined;
    const { id, region, natsPublicKey } = member;
    const role = member.role === Role.HOST ? "host" : "region";
    return issueNatsUser(natsKeys, { role, id, region, natsPublicKey, expireTime });
  }

  async #certify(member: CheckedClaim, expireTime: Date): Promise<MembershipCertificate> {
    const { id, region, role, publicKey } = member;
    const payload = Buffer.from(
      Membership.encode({ publicKey, id, region, role, expireTime }).finish(),
    );
    const message = signedMessage(MEMBERSHIP_SIGNATURE_CONTEXT, payload);
    const signature = await this.#options.signer.sign(message);
    return { payload, signature };
  }
}

/** Builders have no business with NATS. */
function hasNatsUser({ role, natsPublicKey }: CheckedClaim): boolean {
  return natsPublicKey !== "" && role !== Role.BUILDER;
}
