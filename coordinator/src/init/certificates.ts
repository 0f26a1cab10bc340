import { randomBytes, webcrypto } from "node:crypto";
import net from "node:net";
// The library below looks it up while it is loaded.
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

type CryptoKey = webcrypto.CryptoKey;
type CryptoKeyPair = webcrypto.CryptoKeyPair;

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
/** Machines whose clocks are behind take it all the same. */
const BACKDATE_MS = 3_600_000;
const DAY_MS = 24 * 3_600_000;
const LOOPBACK = ["localhost", "127.0.0.1", "::1"];
const DNS_NAME =
  /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
const MAX_NAMES = 100;

/** A certificate and its private key, in PEM. */
export interface PemPair {
  certificate: string;
  /** PKCS#8. */
  key: string;
}

/** A name that no certificate can have, or an authority that is none. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";
}

/** A certificate authority of its own, that signs certificates of servers and clients only. */
export async function createAuthority(days: number): Promise<PemPair> {
  const keys = await createKeys();
  const name = `CN=Slipway fleet CA ${randomBytes(4).toString("hex")}`;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...validity(days),
    name,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: await keyPem(keys.privateKey) };
}

interface IssueOptions {
  /** "server" for gRPC and NATS servers; "client" for who shows one to them. */
  use: "server" | "client";
  /** Host names and addresses; a server's has loopback's as well. A client's first is its name. */
  names: readonly string[];
  days: number;
}

/** A certificate by the authority, not beyond its own end. @throws CertificateError */
export async function issueCertificate(
  authority: PemPair,
  { use, names, days }: IssueOptions,
): Promise<PemPair> {
  const issuer = readCertificate(authority.certificate);
  const signingKey = await readKey(authority.key);
  const all = [...new Set(use === "server" ? [...names, ...LOOPBACK] : names)];
  const [first] = all;
  if (first === undefined || all.length > MAX_NAMES) {
    throw new CertificateError(`a certificate must have 1 to ${MAX_NAMES} names`);
  }
  const keys = await createKeys();
  const { notBefore, notAfter } = validity(days);
  if (issuer.notAfter <= new Date()) throw new CertificateError("the authority has expired");
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([
      use === "server" ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth,
    ]),
    new SubjectAlternativeNameExtension(all.map(alternativeName)),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
    await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
  ];
  const certificate = await X509CertificateGenerator.create({
    notBefore,
    notAfter: issuer.notAfter < notAfter ? issuer.notAfter : notAfter,
    serialNumber: serialNumber(),
    // At most 64 characters, as the standard says; who checks looks at the names below.
    subject: [{ CN: [first.slice(0, 64)] }],
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions,
  });
  return { certificate: pem(certificate), key: await keyPem(keys.privateKey) };
}

/** @throws CertificateError unless it is a DNS name, maybe with a wildcard in front, or an address. */
export function checkName(name: string): string {
  if (net.isIP(name) !== 0 || (name.length <= 253 && DNS_NAME.test(name))) return name;
  throw new CertificateError(
    `not a host name or an address: ${JSON.stringify(name.slice(0, 100))}`,
  );
}

function alternativeName(name: string): { type: "dns" | "ip"; value: string } {
  return { type: net.isIP(checkName(name)) === 0 ? "dns" : "ip", value: name };
}

function createKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function validity(days: number): { serialNumber: string; notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return {
    serialNumber: serialNumber(),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + days * DAY_MS),
  };
}

/** Positive, and not of the shortest form's special cases. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

async function keyPem(key: CryptoKey): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", key);
  return `${PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag)}\n`;
}

function readCertificate(text: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (error) {
    throw new CertificateError("the authority's certificate is none", { cause: error });
  }
}

async function readKey(text: string): Promise<CryptoKey> {
  try {
    const pkcs8 = PemConverter.decodeFirst(text);
    return await webcrypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, false, ["sign"]);
  } catch (error) {
    throw new CertificateError("the authority's key is none of P-256 in PKCS#8", { cause: error });
  }
}
