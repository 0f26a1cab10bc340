import { readFile } from "node:fs/promises";
import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import {
  credentials,
  InterceptingCall,
  ListenerBuilder,
  status,
  type ChannelCredentials,
  type Interceptor,
  type Listener,
} from "@grpc/grpc-js";
import { getErrorDetails, getTokenEnd } from "@slipway/proto";
import { checkKeyPair } from "@slipway/proto/files";
import { errorCode } from "../store/errors.js";
import type { Logger } from "../log.js";
import { addressesOf } from "./failover-channel.js";
import { TokenFile } from "./token-file.js";
import { TokenStanding } from "./token-standing.js";

/** Reasons of errors that a token is refused with, whatever was asked for. */
const NOT_LET_IN = /^(TOKEN_(MALFORMED|UNKNOWN|REVOKED|EXPIRED)|ROLE_REQUIRED)$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\]):\d+$/;

const isLoopback = (address: string): boolean => LOOPBACK.test(address);

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
  /** What coordinators say of the agent's token; absent without one. To be stopped. */
  token?: TokenStanding | undefined;
}

/** Plain text and no token. */
export const insecureChannel = (): CoordinatorChannel => ({
  credentials: credentials.createInsecure(),
  interceptors: [],
});

/**
 * To `coordinator` (HOST:PORT, or several with commas between). Without TLS no token is sent to another machine.
 * @throws Error with a one-line reason if a file can't be used, or a token would be there to read.
 */
export async function openChannel(
  files: CoordinatorFiles & { coordinator?: string | undefined },
  log: Logger,
): Promise<CoordinatorChannel> {
  const { coordinatorTokenFile, coordinatorCa, coordinator = "" } = files;
  const secured = await secure(files);
  if (coordinatorTokenFile === undefined) return { credentials: secured, interceptors: [] };
  if (coordinatorCa === undefined && !addressesOf(coordinator).every(isLoopback)) {
    throw new Error(
      `${coordinatorTokenFile} is not sent to ${coordinator} in plain text: give --coordinator-ca`,
    );
  }
  const file = TokenFile.open(coordinatorTokenFile, log);
  const present = (): string => file.read();
  const token = new TokenStanding({ file: coordinatorTokenFile, present, log });
  return { credentials: secured, interceptors: [sendToken(file, token)], token };
}

/** Calls that bring another token, as to join the fleet, keep it. */
function sendToken(token: TokenFile, standing: TokenStanding): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        if (metadata.get("authorization").length > 0) return next(metadata, listener);
        const text = token.read();
        metadata.set("authorization", `Bearer ${text}`);
        next(metadata, listening(text, standing));
      },
    });
}

/** Hears what the answer to a call says of its token. */
function listening(token: string, standing: TokenStanding): Partial<Listener> {
  return new ListenerBuilder()
    .withOnReceiveMetadata((metadata, next) => {
      standing.accepted(token, getTokenEnd(metadata));
      next(metadata);
    })
    .withOnReceiveStatus((ended, next) => {
      const { reason = "" } = getErrorDetails(ended.metadata) ?? {};
      if (ended.code === status.OK) standing.accepted(token);
      else if (NOT_LET_IN.test(reason)) standing.refused(token, ended.details);
      next(ended);
    })
    .build();
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
    if (cert !== null && key !== null) checkKeyPair(cert, key);
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
