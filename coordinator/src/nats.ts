import { connect, DebugEvents, Events, type NatsConnection } from "nats";
import type { Logger } from "pino";

/** A connection, and whether it stands. */
export interface Nats {
  connection: NatsConnection;
  isConnected: () => boolean;
}

/** Once connected it reconnects for ever; calls meanwhile fail soon instead of waiting. */
export async function connectNats(urls: readonly string[], log: Logger): Promise<Nats> {
  const connection = await connect({
    servers: [...urls],
    name: "slipway-coordinator",
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    timeout: 5_000,
    pingInterval: 5_000,
    maxPingOut: 2,
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
  return { connection, isConnected: () => isConnected && !connection.isClosed() };
}
