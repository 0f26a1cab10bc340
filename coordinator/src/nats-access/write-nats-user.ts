import { createUser, fmtCreds } from "@nats-io/jwt";
import { issueNatsUser, type NatsMember } from "./issue-user.js";
import { readIssuerKeys, writePrivate } from "./key-files.js";

/**
 * Writes credentials of a new user, for its owner only: `out` for its region's NATS, and a region
 * agent's for the global NATS to `out`.global.
 * @throws NatsUserError, NatsKeysError
 */
export async function writeNatsUser({
  issuer,
  out,
  ...member
}: Omit<NatsMember, "natsPublicKey"> & { issuer: string; out: string }): Promise<void> {
  const keys = await readIssuerKeys(issuer);
  const pair = createUser();
  const natsPublicKey = pair.getPublicKey();
  const { regional, global } = await issueNatsUser(keys, { ...member, natsPublicKey });
  await writePrivate(out, fmtCreds(regional, pair));
  if (global !== undefined) await writePrivate(`${out}.global`, fmtCreds(global, pair));
}
