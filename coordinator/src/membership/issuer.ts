import {
  type MemberGrant,
  Membership,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  type MembershipCertificate,
} from "@slipway/proto";
import type { CheckedClaim } from "./claims.js";
import type { MembershipSigner } from "./membership-signer.js";

const CONTEXT = Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT);

/** For how long a grant holds. */
export interface Validity {
  issueTime: Date;
  expireTime: Date;
}

interface IssuerOptions {
  signer: MembershipSigner;
  /** How long what it grants holds. */
  validForMs: number;
  /** Of the NATS user that a member is: a JWT that holds as long as its certificate. */
  issueNatsUser?: ((member: CheckedClaim, expireTime: Date) => string) | undefined;
  /** The root key's, as it is published now; empty for none. */
  keySet?: (() => Buffer) | undefined;
}

/** Makes what a member is given each time that it joins or renews. */
export class MemberIssuer {
  readonly #options: IssuerOptions;

  constructor(options: IssuerOptions) {
    this.#options = options;
  }

  /** From so many milliseconds since 1970 on; whole ones, as the database keeps them. */
  validity(now: number): Validity {
    return { issueTime: new Date(now), expireTime: new Date(now + this.#options.validForMs) };
  }

  async grant(member: CheckedClaim, { issueTime, expireTime }: Validity): Promise<MemberGrant> {
    const { issueNatsUser, keySet } = this.#options;
    return {
      certificate: await this.#certify(member, expireTime),
      issueTime,
      expireTime,
      keySet: keySet?.() ?? Buffer.alloc(0),
      natsJwt: member.natsPublicKey === "" ? "" : (issueNatsUser?.(member, expireTime) ?? ""),
    };
  }

  async #certify(member: CheckedClaim, expireTime: Date): Promise<MembershipCertificate> {
    const { id, region, role, publicKey } = member;
    const payload = Buffer.from(
      Membership.encode({ publicKey, id, region, role, expireTime }).finish(),
    );
    const signature = await this.#options.signer.sign(Buffer.concat([CONTEXT, payload]));
    return { payload, signature };
  }
}
