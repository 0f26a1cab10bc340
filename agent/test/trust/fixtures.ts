import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { type KeySet, rawPublicKey, shortKeyId, signKeySet, type TrustedKey } from "@slipway/proto";

/** A public key, or one that ends. */
export type Listed = KeyObject | { key: KeyObject; notAfter: Date };

export interface Keys {
  goal: readonly Listed[];
  membership: readonly Listed[];
  revoked?: readonly KeyObject[];
}

/** A root key, and what it signs. */
export class Root {
  readonly #pair = generateKeyPairSync("ed25519");
  readonly publicKey = this.#pair.publicKey;

  get pem(): string {
    return this.publicKey.export({ format: "pem", type: "spki" }).toString();
  }

  /** A SignedKeySet, also signed by these. */
  set(version: number, { goal, membership, revoked = [] }: Keys, more: Root[] = []): Buffer {
    const set: KeySet = {
      version,
      issueTime: new Date(1_700_000_000_000 + version),
      goalKeys: goal.map(trusted),
      membershipKeys: membership.map(trusted),
      revokedKeyIds: revoked.map(shortKeyId),
    };
    return signKeySet(set, [this.#pair.privateKey, ...more.map((root) => root.#pair.privateKey)]);
  }
}

function trusted(listed: Listed): TrustedKey {
  const { key, notAfter } = "key" in listed ? listed : { key: listed, notAfter: undefined };
  return { publicKey: rawPublicKey(key), notAfter };
}
