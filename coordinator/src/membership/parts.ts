import type { CoordinatorConfig } from "../config.js";
import { MemberIssuer } from "./issuer.js";
import { readMembershipSigner } from "./membership-signer.js";

/** Undefined without a membership key. @throws Error with a one-line reason. */
export async function createMemberIssuer({
  membershipKeyFile,
  membershipValidForMs: validForMs,
}: Pick<CoordinatorConfig, "membershipKeyFile" | "membershipValidForMs">): Promise<
  MemberIssuer | undefined
> {
  if (membershipKeyFile === undefined) return undefined;
  return new MemberIssuer({ signer: await readMembershipSigner(membershipKeyFile), validForMs });
}
