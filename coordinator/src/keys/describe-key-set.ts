import { type HeldKey, SignedKeySet, type VerifiedKeySet } from "@slipway/proto";
import { daysUntil } from "./judge-key.js";

/** A key set for people to read, in lines. */
export function describeKeySet(set: VerifiedKeySet, now: number): string {
  const { version, issueTime, goalKeys, membershipKeys, revokedKeyIds, signed } = set;
  const signers = SignedKeySet.decode(signed).signatures.map(({ keyId }) => keyId);
  const lines = [
    `version          ${version}`,
    `issued           ${issueTime.toISOString()}`,
    `signed by        ${signers.join(", ") || "nobody"}`,
    ...goalKeys.map((key) => `goal key         ${describeKey(key, now)}`),
    ...membershipKeys.map((key) => `membership key   ${describeKey(key, now)}`),
    ...[...revokedKeyIds].map((id) => `revoked          ${id}`),
  ];
  return `${lines.join("\n")}\n`;
}

function describeKey({ keyId, notAfter }: HeldKey, now: number): string {
  if (notAfter === undefined) return `${keyId}  no end`;
  const days = daysUntil(notAfter, now);
  const when = days < 0 ? "has ended" : `${Math.floor(days)} days left`;
  return `${keyId}  until ${notAfter.toISOString()} (${when})`;
}
