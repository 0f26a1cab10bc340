import {
  type KeyObject,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
} from "node:crypto";
import { open, readFile } from "node:fs/promises";
import {
  MEMBERSHIP_SIGNATURE_CONTEXT,
  Membership,
  MembershipCertificate,
  NAME_PATTERN,
  Role,
} from "@slipway/proto";

export type AgentRole = "host" | "region";

/** Who a member of a swarm is: its Noise key pair, and the fleet's word for it. */
export interface Identity {
  readonly id: string;
  readonly region: string;
  readonly role: AgentRole;
  /** Noise (Ed25519), 32 bytes. */
  readonly publicKey: Buffer;
  /** 64 bytes: the seed, then the public key. */
  readonly secretKey: Buffer;
  /** A serialised MembershipCertificate. */
  readonly certificate: Buffer;
}

export class IdentityError extends Error {
  override readonly name = "IdentityError";
}

export interface CreateIdentityOptions {
  id: string;
  region: string;
  role: AgentRole;
  /** The fleet's Ed25519 private key for memberships. */
  membershipKey: KeyObject;
  expireTime: Date;
}

/** A fresh key pair with a certificate. Throws IdentityError if id or region are no names. */
export function createIdentity(options: CreateIdentityOptions): Identity {
  const { id, region, role, membershipKey, expireTime } = options;
  for (const [what, name] of Object.entries({ id, region })) {
    if (!NAME_PATTERN.test(name)) throw new IdentityError(`not a valid ${what}: ${name}`);
  }
  const { publicKey, secretKey } = noiseKeyPair();
  const payload = Membership.encode(
    Membership.fromPartial({
      publicKey,
      id,
      region,
      role: role === "region" ? Role.REGION : Role.HOST,
      expireTime,
    }),
  ).finish();
  const signature = sign(
    null,
    Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]),
    membershipKey,
  );
  const certificate = MembershipCertificate.encode(
    MembershipCertificate.fromPartial({ payload: Buffer.from(payload), signature }),
  ).finish();
  return { id, region, role, publicKey, secretKey, certificate: Buffer.from(certificate) };
}

/** Writes an identity that only its owner may read. Throws EEXIST rather than replace one. */
export async function writeIdentity(path: string, identity: Identity): Promise<void> {
  const json = {
    id: identity.id,
    region: identity.region,
    role: identity.role,
    publicKey: identity.publicKey.toString("hex"),
    secretKey: identity.secretKey.toString("hex"),
    certificate: identity.certificate.toString("base64"),
  };
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(json, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Reads what writeIdentity wrote. Throws IdentityError if it is something else. */
export async function readIdentity(path: string): Promise<Identity> {
  const json = parse(path, await readFile(path, "utf8"));
  const text = (field: string): string => {
    const value = json[field];
    if (typeof value !== "string" || value === "") {
      throw new IdentityError(`${path} has no ${field}`);
    }
    return value;
  };
  const role = text("role");
  if (role !== "host" && role !== "region") throw new IdentityError(`${path} has no valid role`);
  const publicKey = Buffer.from(text("publicKey"), "hex");
  const secretKey = Buffer.from(text("secretKey"), "hex");
  if (publicKey.length !== 32 || secretKey.length !== 64) {
    throw new IdentityError(`${path} has keys of the wrong length`);
  }
  return {
    id: text("id"),
    region: text("region"),
    role,
    publicKey,
    secretKey,
    certificate: Buffer.from(text("certificate"), "base64"),
  };
}

/** When the identity's certificate expires. Throws IdentityError if it is none. */
export function certificateExpiry({ certificate }: Pick<Identity, "certificate">): Date {
  try {
    const { payload } = MembershipCertificate.decode(certificate);
    const { expireTime } = Membership.decode(payload);
    if (expireTime !== undefined) return expireTime;
  } catch (error) {
    throw new IdentityError("the identity's certificate is none", { cause: error });
  }
  throw new IdentityError("the identity's certificate has no end");
}

/** An Ed25519 private key from a PKCS#8 PEM file. Throws IdentityError. */
export async function readPrivateKey(path: string): Promise<KeyObject> {
  const pem = await readFile(path);
  return ed25519(path, () => createPrivateKey(pem));
}

/** An Ed25519 public key from an SPKI PEM file. Throws IdentityError. */
export async function readPublicKey(path: string): Promise<KeyObject> {
  const pem = await readFile(path);
  return ed25519(path, () => createPublicKey(pem));
}

/** The 32 bytes of an Ed25519 public key. */
export function rawPublicKey(key: KeyObject): Buffer {
  const { x } = key.export({ format: "jwk" });
  if (x === undefined) throw new IdentityError("not an Ed25519 key");
  return Buffer.from(x, "base64url");
}

function noiseKeyPair(): { publicKey: Buffer; secretKey: Buffer } {
  const { d, x } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  if (d === undefined || x === undefined) throw new IdentityError("no Ed25519 key pair");
  const publicKey = Buffer.from(x, "base64url");
  return { publicKey, secretKey: Buffer.concat([Buffer.from(d, "base64url"), publicKey]) };
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

function ed25519(path: string, read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    throw new IdentityError(`${path} holds no key`, { cause: error });
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new IdentityError(`${path} holds a key that is not Ed25519`);
  }
  return key;
}
