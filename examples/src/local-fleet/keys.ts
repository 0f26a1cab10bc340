import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { createIdentity, writeIdentity } from "@slipway/agent";
import {
  type FleetPlan,
  goalKeyFile,
  hookSecretFile,
  identityFile,
  membershipKeyFile,
} from "./command-lines.js";

const IDENTITY_DAYS = 30;

/**
 * Makes the fleet's two key pairs, the secret that signs notifications, and the identity of each region agent and host, as
 * `slipway-coordinator keygen` and `slipway-agent identity` would, without a process for each.
 */
export async function writeKeys(plan: FleetPlan): Promise<void> {
  await mkdir(path.join(plan.dir, "keys"), { recursive: true, mode: 0o700 });
  await writeKeyPair(goalKeyFile(plan.dir));
  await writeFile(hookSecretFile(plan.dir), randomBytes(32).toString("hex"), { mode: 0o600 });
  const membershipKey = await writeKeyPair(membershipKeyFile(plan.dir));
  const expireTime = new Date(Date.now() + IDENTITY_DAYS * 24 * 3_600_000);
  const members = [
    ...plan.regions.map(({ agentId, region }) => ({
      id: agentId,
      region,
      role: "region" as const,
    })),
    ...plan.hosts.map(({ hostId, region }) => ({ id: hostId, region, role: "host" as const })),
  ];
  await Promise.all(
    members.map((member) =>
      writeIdentity(
        identityFile(plan.dir, member.id),
        createIdentity({ ...member, membershipKey, expireTime }),
      ),
    ),
  );
}

async function writeKeyPair(file: string): Promise<KeyObject> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  await writeFile(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  await writeFile(`${file}.pub`, publicKey.export({ type: "spki", format: "pem" }));
  return privateKey;
}
