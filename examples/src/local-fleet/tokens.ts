import { mkdir, writeFile } from "node:fs/promises";
import { issueToken } from "@slipway/coordinator";
import { type Client, Role, TokenRole, type TokenRequest } from "@slipway/sdk";
import type { FleetPlan } from "./command-lines.js";
import { joinToken, tokenFile, tokensFolder } from "./files.js";

const VALID_MS = 30 * 24 * 3_600_000;

const PERSONS_ROLES = {
  viewer: TokenRole.VIEWER,
  deployer: TokenRole.DEPLOYER,
  admin: TokenRole.ADMIN,
};
/** What people may do. */
export type PersonsRole = keyof typeof PERSONS_ROLES;

/** Name of the one who holds the first token, and may do what people may. */
export const ADMIN = "admin";

/** Makes the first token on the database, as `slipway-coordinator token create` does. */
export async function writeFirstToken({ dir, databaseUrl }: FleetPlan): Promise<string> {
  const expireTime = new Date(Date.now() + VALID_MS);
  const terms = { name: ADMIN, role: "admin", expireTime } as const;
  const { text } = await issueToken(databaseUrl, terms, "the local fleet");
  await mkdir(tokensFolder(dir), { recursive: true, mode: 0o700 });
  await writeToken(dir, ADMIN, text);
  return text;
}

/** Makes every process's token, as `slipway token create` does, with the first one. */
export async function writeTokens(
  client: Client,
  { dir, builders, regions, hosts }: FleetPlan,
): Promise<void> {
  const wanted: (Omit<TokenRequest, "expireTime"> & { file: string })[] = [];
  const members = (file: string, memberRole: Role, maxUses: number, region?: string): void => {
    if (maxUses === 0) return;
    const limits = region === undefined ? {} : { region };
    wanted.push({ file, name: file, role: TokenRole.ENROL, memberRole, maxUses, ...limits });
  };
  for (const id of builders) {
    wanted.push({ file: id, name: id, role: TokenRole.BUILDER, subject: id });
  }
  members(joinToken("builder"), Role.BUILDER, builders.length);
  for (const region of new Set(regions.map((agent) => agent.region))) {
    const ofRegion = (each: { region: string }): boolean => each.region === region;
    wanted.push({ file: region, name: region, role: TokenRole.REGION, region });
    members(joinToken("region", region), Role.REGION, regions.filter(ofRegion).length, region);
    members(joinToken("host", region), Role.HOST, hosts.filter(ofRegion).length, region);
  }
  const expireTime = new Date(Date.now() + VALID_MS);
  await Promise.all(
    wanted.map(async ({ file, ...request }) => {
      const { text } = await client.tokens.create({ ...request, expireTime });
      await writeToken(dir, file, text);
    }),
  );
}

/** The text of a new token of somebody who may do what a role may, everywhere. */
export async function createPersonsToken(
  client: Client,
  name: string,
  role: PersonsRole,
): Promise<string> {
  const expireTime = new Date(Date.now() + VALID_MS);
  const asked = { name, role: PERSONS_ROLES[role], expireTime };
  const { text } = await client.tokens.create(asked);
  return text;
}

function writeToken(dir: string, name: string, text: string): Promise<void> {
  return writeFile(tokenFile(dir, name), `${text}\n`, { mode: 0o600 });
}
