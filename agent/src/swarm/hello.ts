import { randomBytes } from "node:crypto";
import { MembershipCertificate, NAME_PATTERN, SWARM_PROTOCOL_VERSION } from "@slipway/proto";
import { type Control, ProtocolError } from "./frames.js";
import {
  MembershipError,
  type MembershipKeys,
  membershipKeysOf,
  type SignedMembership,
  verifyMembership,
} from "./membership.js";
import { RevokedError } from "./revoked.js";
import type { SwarmOptions } from "./types.js";

/** What a member says of itself. */
export interface Greeting {
  membership: SignedMembership;
  /** Its home cell. */
  cell: string;
  /** How many neighbours it has there. */
  neighbours: number;
}

export type HelloOptions = Pick<SwarmOptions, "identity" | "membershipPublicKey" | "cell">;

/** The first words on a connection: this peer's, and what to make of the other's. */
export class Hello {
  readonly #options: HelloOptions;
  readonly #keys: MembershipKeys;
  #certificate: MembershipCertificate;
  readonly #nonce = randomBytes(16);
  /** Ids of members that are none any more. */
  revoked: ReadonlySet<string> = new Set();

  constructor(options: HelloOptions) {
    this.#options = options;
    this.#keys = membershipKeysOf(options.membershipPublicKey);
    this.#certificate = MembershipCertificate.decode(options.identity.certificate);
  }

  /** From now on this peer's own; serialised. */
  renew(certificate: Buffer): void {
    this.#certificate = MembershipCertificate.decode(certificate);
  }

  /** Of this peer's certificate, to those who have heard an earlier one. */
  sayRenewal(): Control {
    return { $case: "renewal", value: this.#certificate };
  }

  say(neighbours: number): Control {
    const value = {
      protocolVersion: SWARM_PROTOCOL_VERSION,
      certificate: this.#certificate,
      processNonce: this.#nonce,
      cell: this.#options.cell,
      neighbours,
    };
    return { $case: "hello", value };
  }

  /**
   * Throws MembershipError unless the key that the handshake proved is a member's, and RevokedError
   * if it is one no more, before anything else is looked at; ProtocolError if the rest makes no sense.
   */
  hear(message: Control, remotePublicKey: Uint8Array, now: number): Greeting {
    if (message.$case !== "hello") throw new ProtocolError("no hello");
    const { certificate, protocolVersion, processNonce, cell, neighbours } = message.value;
    const membership = this.#verify(certificate, remotePublicKey, now);
    if (protocolVersion !== SWARM_PROTOCOL_VERSION) {
      throw new ProtocolError(`protocol version ${protocolVersion}`);
    }
    if (processNonce.equals(this.#nonce)) throw new ProtocolError("a connection with itself");
    if (!NAME_PATTERN.test(cell)) throw new ProtocolError("a cell without a name");
    return { membership, cell, neighbours };
  }

  /**
   * A member's next certificate, in place of the one that it said hello with. Throws MembershipError
   * and RevokedError as for a hello, also if it is another member's.
   */
  hearRenewal(
    certificate: MembershipCertificate,
    before: SignedMembership,
    now: number,
  ): SignedMembership {
    const membership = this.#verify(certificate, before.publicKey, now);
    if (membership.id !== before.id || membership.role !== before.role) {
      throw new MembershipError("renewed as another member", "other_key");
    }
    return membership;
  }

  /** Why what let this one in holds no more; undefined if it does. */
  fault({ expireTime, signer }: SignedMembership, now: number): MembershipError | undefined {
    if ((expireTime?.getTime() ?? 0) <= now)
      return new MembershipError("certificate expired", "expired");
    if (this.#keys.holds(signer)) return undefined;
    return new MembershipError("signed by a membership key that holds no more", "not_signed");
  }

  #verify(
    certificate: MembershipCertificate | undefined,
    remotePublicKey: Uint8Array,
    now: number,
  ): SignedMembership {
    const { region } = this.#options.identity;
    const expected = { keys: this.#keys, remotePublicKey, region, now };
    const membership = verifyMembership(certificate, expected);
    if (this.revoked.has(membership.id)) throw new RevokedError(`${membership.id} is revoked`);
    return membership;
  }
}
