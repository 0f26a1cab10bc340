import { readFile } from "node:fs/promises";
import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import {
  credentials,
  InterceptingCall,
  type ChannelCredentials,
  type Interceptor,
} from "@grpc/grpc-js";
import { errorCode } from "../store/errors.js";
import type { Logger } from "../log.js";
import { TokenFile } from "./token-file.js";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\]):\d+$/;

/** How an agent proves who it is to coordinators, and knows them. Files, PEM but for the token. */
export interface CoordinatorFiles {
  /** Whoever signed the coordinators' certificates: TLS. Without: plain text. */
  coordinatorCa?: string | undefined;
  /** Holds the token that calls are made with; may be replaced at any time. */
  coordinatorTokenFile?: string | undefined;
  /** The agent's certificate and its key, where coordinators ask for one. */
  coordinatorCert?: string | undefined;
  coordinatorKey?: string | undefined;
}

/** What a gRPC client is opened with. */
export interface CoordinatorChannel {
  credentials: ChannelCredentials;
  interceptors: Interceptor[];
}

/** Plain text and no token. */
export const insecureChannel = (): CoordinatorChannel => ({
  credentials: credentials.createInsecure(),
  interceptors: [],
});

/**
 * To `coordinator` (HOST:PORT). Without TLS no token is sent to another machine.
 * @throws Error with a one-line reason if a file can't be used, or a token would be there to read.
 */
export async function openChannel(
  files: CoordinatorFiles & { coordinator?: string | undefined },
  log: Logger,
): Promise<CoordinatorChannel> {
  const { coordinatorTokenFile, coordinatorCa, coordinator = "" } = files;
  const secured = await secure(files);
  if (coordinatorTokenFile === undefined) return { credentials: secured, interceptors: [] };
  if (coordinatorCa === undefined && !LOOPBACK.test(coordinator)) {
    throw new Error(
      `${coordinatorTokenFile} is not sent to ${coordinator} in plain text: give --coordinator-ca`,
    );
  }
  const token = TokenFile.open(coordinatorTokenFile, log);
  return { credentials: secured, interceptors: [sendToken(token)] };
}

/** Calls that bring another token, as to join the fleet, keep it. */
function sendToken(token: TokenFile): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        if (metadata.get("authorization").length === 0) {
          metadata.set("authorization", `Bearer ${token.read()}`);
        }
        next(metadata, listener);
      },
    });
}

async function secure(files: CoordinatorFiles): Promise<ChannelCredentials> {
  const { coordinatorCa, coordinatorCert, coordinatorKey } = files;
  if ((coordinatorCert === undefined) !== (coordinatorKey === undefined)) {
    throw new Error("--coordinator-cert and --coordinator-key go together");
  }
  if (coordinatorCa === undefined) {
    if (coordinatorCert === undefined) return credentials.createInsecure();
    throw new Error("--coordinator-cert needs --coordinator-ca: without it there is no TLS");
  }
  const [ca, cert = null, key = null] = await Promise.all(
    [coordinatorCa, coordinatorCert, coordinatorKey].map(read),
  );
  try {
    // Node takes an authority without a certificate, and would then trust nobody.
    if (ca !== null && ca !== undefined) void new X509Certificate(ca);
    createSecureContext({ ca: ca ?? undefined, cert: cert ?? undefined, key: key ?? undefined });
    return credentials.createSsl(ca, key, cert);
  } catch (error) {
    const named = [coordinatorCa, coordinatorCert, coordinatorKey].filter(Boolean).join(", ");
    throw new Error(`TLS cannot be used with ${named}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function read(file: string | undefined): Promise<Buffer | null> {
  if (file === undefined) return null;
  try {
    return await readFile(file);
  } catch (error) {
    throw new Error(`${file} cannot be read: ${errorCode(error)}`, { cause: error });
  }
}
