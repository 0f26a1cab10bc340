import { open, readFile } from "node:fs/promises";
import { writeAtomically } from "../atomic-file.js";
import { type Identity, IdentityError, type MemberRole } from "./identity.js";

/** Writes an identity that only its owner may read. Throws EEXIST rather than replace one. */
export async function writeIdentity(path: string, identity: Identity<MemberRole>): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(encode(identity));
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The same in place of one that is there, so that a crash leaves the old one or the new one. */
export function replaceIdentity(path: string, identity: Identity<MemberRole>): Promise<void> {
  return writeAtomically(path, encode(identity));
}

/** The same of a swarm's member. Throws IdentityError if it is something else. */
export async function readIdentity(path: string): Promise<Identity> {
  const identity = await readMemberIdentity(path);
  if (isOfSwarm(identity)) return identity;
  throw new IdentityError(`${path} is a ${identity.role}'s: no member of a swarm`);
}

function isOfSwarm(identity: Identity<MemberRole>): identity is Identity {
  return identity.role !== "builder";
}

/** Reads what writeIdentity wrote. Throws IdentityError if it is something else. */
export async function readMemberIdentity(path: string): Promise<Identity<MemberRole>> {
  const json = parse(path, await readFile(path, "utf8"));
  const optional = (field: string): string | undefined => {
    const value = json[field];
    if (value === undefined) return undefined;
    if (typeof value === "string" && value !== "") return value;
    throw new IdentityError(`${path} has no valid ${field}`);
  };
  const text = (field: string): string => {
    const value = optional(field);
    if (value === undefined) throw new IdentityError(`${path} has no ${field}`);
    return value;
  };
  const role = text("role");
  if (role !== "host" && role !== "region" && role !== "builder") {
    throw new IdentityError(`${path} has no valid role`);
  }
  const publicKey = Buffer.from(text("publicKey"), "hex");
  const secretKey = Buffer.from(text("secretKey"), "hex");
  if (publicKey.length !== 32 || secretKey.length !== 64) {
    throw new IdentityError(`${path} has keys of the wrong length`);
  }
  const issued = optional("issueTime");
  const issueTime = issued === undefined ? undefined : new Date(issued);
  if (issueTime !== undefined && Number.isNaN(issueTime.getTime())) {
    throw new IdentityError(`${path} has no valid issueTime`);
  }
  const [natsSeed, natsJwt] = [optional("natsSeed"), optional("natsJwt")];
  const globalNatsJwt = optional("globalNatsJwt");
  return {
    id: text("id"),
    region: role === "builder" ? "" : text("region"),
    role,
    publicKey,
    secretKey,
    certificate: Buffer.from(text("certificate"), "base64"),
    ...(issueTime === undefined ? {} : { issueTime }),
    ...(natsSeed === undefined ? {} : { natsSeed }),
    ...(natsJwt === undefined ? {} : { natsJwt }),
    ...(globalNatsJwt === undefined ? {} : { globalNatsJwt }),
  };
}

function encode(identity: Identity<MemberRole>): string {
  const { id, region, role, natsSeed, natsJwt, globalNatsJwt } = identity;
  const json = {
    id,
    ...(role === "builder" ? {} : { region }),
    role,
    publicKey: identity.publicKey.toString("hex"),
    secretKey: identity.secretKey.toString("hex"),
    certificate: identity.certificate.toString("base64"),
    issueTime: identity.issueTime?.toISOString(),
    natsSeed,
    natsJwt,
    globalNatsJwt,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function parse(path: string, text: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null) return json as Record<string, unknown>;
  } catch (error) {
    throw new IdentityError(`${path} is no JSON`, { cause: error });
  }
  throw new IdentityError(`${path} is no identity`);
}
