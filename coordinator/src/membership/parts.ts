import type { CoordinatorConfig } from "../config.js";
import { MemberIssuer } from "./issuer.js";
import { readIssuerKeys } from "../nats-access/key-files.js";
import { readMembershipSigner } from "./membership-signer.js";

/** Undefined without a membership key. @throws Error with a one-line reason. */
export async function createMemberIssuer({
  membershipKeyFile,
  membershipValidForMs: validForMs,
  natsIssuerFile,
}: Pick<
  CoordinatorConfig,
  "membershipKeyFile" | "membershipValidForMs" | "natsIssuerFile"
>): Promise<MemberIssuer | undefined> {
  if (membershipKeyFile === undefined) return undefined;
  const signer = await readMembershipSigner(membershipKeyFile);
  const natsKeys = natsIssuerFile === undefined ? undefined : await readIssuerKeys(natsIssuerFile);
  return new MemberIssuer({ signer, validForMs, natsKeys });
}
