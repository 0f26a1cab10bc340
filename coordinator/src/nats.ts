import { COORDINATOR_INBOX } from "@slipway/proto";
import { explainUntrusted, ShownCertificate } from "@slipway/proto/files";
import { connect } from "@slipway/proto/nats";
import { DebugEvents, Events, type Authenticator, type NatsConnection } from "nats";
import type { Logger } from "pino";

const CONNECT_TIMEOUT_MS = 5_000;

/** A connection, and whether it stands. */
export interface Nats {
  connection: NatsConnection;
  isConnected: () => boolean;
  /** When the certificate ends that the server showed last; undefined without TLS. */
  certificateExpireTime: () => Date | undefined;
  /** Connects once more, for the certificate that is shown now: a server may have another by then. */
  lookAgain: () => Promise<void>;
}

/** Which servers, and how to come in there. */
export interface NatsServers {
  urls: readonly string[];
  /** Default: none are asked for. */
  credentials?: Authenticator | undefined;
  /** PEM, of who signed the servers' certificates; without TLS the connection fails then. */
  caFile?: string | undefined;
}

/** NATS servers have no certificate that this coordinator takes; says which, and what to do. */
export class NatsUntrustedError extends Error {
  override readonly name = "NatsUntrustedError";

  constructor(message: string) {
    super(message);
    // Frames say nothing that the message does not, and would be in every line of the log.
    this.stack = `${this.name}: ${message}`;
  }
}

/** What connecting threw: told as NatsUntrustedError if it is for the server's certificate. */
export function asUntrusted(
  error: unknown,
  { urls, caFile }: Pick<NatsServers, "urls" | "caFile">,
): unknown {
  const reason = explainUntrusted(error, { servers: urls, caFile });
  return reason === undefined ? error : new NatsUntrustedError(reason);
}

/**
 * Once connected it reconnects for ever; calls meanwhile fail soon instead of waiting.
 * @throws NatsUntrustedError, or what the library throws while servers are away
 */
export async function connectNats(
  { urls, credentials, caFile }: NatsServers,
  log: Logger,
): Promise<Nats> {
  const shown = new ShownCertificate();
  const about = {
    servers: [...urls],
    name: "slipway-coordinator",
    inboxPrefix: COORDINATOR_INBOX,
    ...(credentials === undefined ? {} : { authenticator: credentials }),
    ...(caFile === undefined ? {} : { tls: shown.options(caFile) }),
    timeout: CONNECT_TIMEOUT_MS,
  };
  const connection = await connect({
    ...about,
    // Credentials that hold no more may be renewed while it is away.
    ignoreAuthErrorAbort: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 5_000,
    maxPingOut: 2,
  }).catch((error: unknown) => {
    throw asUntrusted(error, { urls, caFile });
  });
  let isConnected = true;
  void (async () => {
    for await (const { type, data } of connection.status()) {
      if (type === Events.Disconnect) isConnected = false;
      if (type === Events.Reconnect) isConnected = true;
      // Said several times a second while NATS is away.
      if (type === DebugEvents.PingTimer || type === DebugEvents.Reconnecting) continue;
      log.info({ status: type, server: data }, "nats connection");
    }
  })();
  return {
    connection,
    isConnected: () => isConnected && !connection.isClosed(),
    certificateExpireTime: () => shown.expireTime,
    lookAgain: async () => (await connect({ ...about, reconnect: false })).close(),
  };
}
