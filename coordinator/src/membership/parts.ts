import type { CoordinatorConfig } from "../config.js";
import type { Keys } from "../keys/parts.js";
import { MemberIssuer } from "./issuer.js";
import { readIssuerKeys } from "../nats-access/key-files.js";

/** Undefined without a membership key. @throws Error with a one-line reason. */
export async function createMemberIssuer(
  {
    membershipValidForMs: validForMs,
    natsIssuerFile,
  }: Pick<CoordinatorConfig, "membershipValidForMs" | "natsIssuerFile">,
  { membershipSigner: signer, fleetKeys }: Pick<Keys, "membershipSigner" | "fleetKeys">,
): Promise<MemberIssuer | undefined> {
  if (signer === undefined) return undefined;
  const natsKeys = natsIssuerFile === undefined ? undefined : await readIssuerKeys(natsIssuerFile);
  const keySet = fleetKeys && ((): Buffer => fleetKeys.set.signed);
  return new MemberIssuer({ signer, validForMs, natsKeys, keySet });
}
