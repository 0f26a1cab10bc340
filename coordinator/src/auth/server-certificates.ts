import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { ServerCredentials } from "@grpc/grpc-js";
import { checkKeyPair, EndWarning } from "@slipway/proto/files";
import type { Logger } from "pino";
import type { Service } from "../context.js";
import { readNamedFile } from "../named-file.js";
import { Sweeper } from "../sweeper.js";

/** PEM files. */
export interface TlsFiles {
  certFile: string;
  keyFile: string;
  /** With it, callers need a certificate of this authority as well as their token. */
  clientCaFile?: string | undefined;
}

const RELOAD_MS = 10_000;
/** A caller that does not get on with its handshake is cut off. */
const HANDSHAKE_MS = 10_000;

/** Credentials of a server whose certificate may be renewed while it serves. */
class RenewableCredentials extends ServerCredentials {
  constructor(context: SecureContextOptions, needsClientCertificate: boolean) {
    super(
      {
        requestCert: needsClientCertificate,
        rejectUnauthorized: needsClientCertificate,
        handshakeTimeout: HANDSHAKE_MS,
        minVersion: "TLSv1.2",
      },
      context,
    );
  }

  /** For connections that are made from now on. */
  renew(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context);
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/** A server's certificate, read again when its files have changed. */
export class ServerCertificates implements Service {
  readonly credentials: ServerCredentials;
  readonly #renewable: RenewableCredentials;
  readonly #files: TlsFiles;
  readonly #log: Logger;
  readonly #sweeper: Sweeper;
  #present: Loaded;
  /** Nobody comes in any more when it has ended. */
  readonly #warning = new EndWarning();

  private constructor(files: TlsFiles, loaded: Loaded, log: Logger) {
    this.#files = files;
    this.#log = log;
    this.#present = loaded;
    this.#warnOfEnd(Date.now());
    this.#renewable = new RenewableCredentials(loaded.context, files.clientCaFile !== undefined);
    this.credentials = this.#renewable;
    const what = "reading the certificate again";
    const sweeps = [{ what, run: () => this.#reloadOrSay() }];
    this.#sweeper = new Sweeper({ sweeps, intervalMs: RELOAD_MS, log });
  }

  /** @throws Error with a one-line reason if the files can't be used. */
  static async open(files: TlsFiles, log: Logger): Promise<ServerCertificates> {
    return new ServerCertificates(files, await load(files), log);
  }

  /** When the present one ends. */
  get expireTime(): Date {
    return this.#present.expireTime;
  }

  start(): void {
    this.#sweeper.start();
  }

  stop(): Promise<void> {
    return this.#sweeper.stop();
  }

  async #reloadOrSay(): Promise<number> {
    try {
      return await this.reload();
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.error({ reason }, "the certificate that was read before is served still");
      return 0;
    }
  }

  /** Takes changed files; those that don't fit together, as while they are being replaced, later. */
  async reload(): Promise<number> {
    const loaded = await load(this.#files);
    if (loaded.pem !== this.#present.pem) {
      this.#present = loaded;
      this.#renewable.renew(loaded.context);
      this.#log.info({ file: this.#files.certFile }, "new certificate");
    }
    this.#warnOfEnd(Date.now());
    return 0;
  }

  #warnOfEnd(now: number): void {
    const { expireTime } = this.#present;
    if (!this.#warning.isDue(expireTime, now)) return;
    this.#warning.warned(now);
    const about = { file: this.#files.certFile, expireTime };
    this.#log.warn(
      about,
      "the server's certificate ends soon, and all calls then: renew its files",
    );
  }
}

interface Loaded {
  context: SecureContextOptions;
  /** Of all files: what is compared. */
  pem: string;
  expireTime: Date;
}

async function load({ certFile, keyFile, clientCaFile }: TlsFiles): Promise<Loaded> {
  const [cert, key, ca] = await Promise.all([
    readNamedFile("TLS certificate", certFile),
    readNamedFile("TLS key", keyFile),
    clientCaFile === undefined ? undefined : readNamedFile("TLS client CA", clientCaFile),
  ]);
  const context = { cert, key, ...(ca === undefined ? {} : { ca }) };
  let expireTime: Date;
  try {
    // Node takes an authority without a certificate, and would then trust nobody.
    if (ca !== undefined) void new X509Certificate(ca);
    createSecureContext(context);
    checkKeyPair(cert, key);
    expireTime = new Date(new X509Certificate(cert).validTo);
  } catch (error) {
    const files = [certFile, keyFile, clientCaFile].filter(Boolean).join(", ");
    throw new Error(`TLS cannot be served with ${files}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return { context, pem: [cert, key, ca].join("\n"), expireTime };
}
