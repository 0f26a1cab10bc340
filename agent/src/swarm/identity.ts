import {
  type KeyObject,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
} from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  MEMBER_ROLES,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  Membership,
  MembershipCertificate,
  NAME_PATTERN,
  privateKeyOf,
  RAW_KEY_BYTES,
  signedMessage,
} from "@slipway/proto";

/** Who is in a swarm. */
export type AgentRole = "host" | "region";
/** Who is in the fleet. */
export type MemberRole = AgentRole | "builder";

/** Who a member of the fleet is: its Noise key pair, and the fleet's word for it. */
export interface Identity<R extends MemberRole = AgentRole> {
  readonly id: string;
  /** Empty for a builder. */
  readonly region: string;
  readonly role: R;
  /** Noise (Ed25519), 32 bytes. */
  readonly publicKey: Buffer;
  /** 64 bytes: the seed, then the public key. */
  readonly secretKey: Buffer;
  /** A serialised MembershipCertificate. */
  readonly certificate: Buffer;
  /** When a coordinator issued the certificate; absent for one that was made by hand. */
  readonly issueTime?: Date | undefined;
  /** The seed of its NATS user's key, if it has one: "SU" and more characters. */
  readonly natsSeed?: string | undefined;
  /** That user's JWT for its region's NATS, if a coordinator issued one. */
  readonly natsJwt?: string | undefined;
  /** The same of a region agent for the global NATS. */
  readonly globalNatsJwt?: string | undefined;
}

export class IdentityError extends Error {
  override readonly name = "IdentityError";
}

export interface CreateIdentityOptions<R extends MemberRole = AgentRole> {
  id: string;
  /** Empty for a builder. */
  region: string;
  role: R;
  /** The fleet's Ed25519 private key for memberships. */
  membershipKey: KeyObject;
  expireTime: Date;
}

/** A fresh key pair with a certificate. Throws IdentityError if id or region are no names. */
export function createIdentity<R extends MemberRole = AgentRole>(
  options: CreateIdentityOptions<R>,
): Identity<R> {
  const { id, region, role, membershipKey, expireTime } = options;
  const names = role === "builder" ? { id } : { id, region };
  for (const [what, name] of Object.entries(names)) {
    if (!NAME_PATTERN.test(name)) throw new IdentityError(`not a valid ${what}: ${name}`);
  }
  if (role === "builder" && region !== "") throw new IdentityError("a builder is of no region");
  const { publicKey, secretKey } = noiseKeyPair();
  const payload = Membership.encode({
    publicKey,
    id,
    region,
    role: MEMBER_ROLES[role],
    expireTime,
  }).finish();
  const message = signedMessage(MEMBERSHIP_SIGNATURE_CONTEXT, payload);
  const signature = sign(null, message, membershipKey);
  const certificate = MembershipCertificate.encode(
    MembershipCertificate.fromPartial({ payload: Buffer.from(payload), signature }),
  ).finish();
  return { id, region, role, publicKey, secretKey, certificate: Buffer.from(certificate) };
}

/** When the identity's certificate expires. Throws IdentityError if it is none. */
export function certificateExpiry({ certificate }: { certificate: Buffer }): Date {
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

/** Signs with an identity's secret key: 64 bytes of Ed25519. */
export function signWith(secretKey: Buffer, message: Uint8Array): Buffer {
  return sign(null, message, privateKeyOf(secretKey.subarray(0, RAW_KEY_BYTES)));
}

/** A fresh Noise key pair, as an identity has it. */
export function noiseKeyPair(): { publicKey: Buffer; secretKey: Buffer } {
  const { d, x } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  if (d === undefined || x === undefined) throw new IdentityError("no Ed25519 key pair");
  const publicKey = Buffer.from(x, "base64url");
  return { publicKey, secretKey: Buffer.concat([Buffer.from(d, "base64url"), publicKey]) };
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
