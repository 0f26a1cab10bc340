import { Events, type NatsConnection, type Status } from "nats";

/** Calls the listener each time the connection is back after a loss. Answers how to stop that. */
export function onReconnect(nats: NatsConnection, listener: () => void): () => void {
  return onStatus(nats, Events.Reconnect, listener);
}

/** Calls the listener each time the connection is lost. Answers how to stop that. */
export function onDisconnect(nats: NatsConnection, listener: () => void): () => void {
  return onStatus(nats, Events.Disconnect, listener);
}

function onStatus(nats: NatsConnection, event: Events, listener: () => void): () => void {
  const statuses = nats.status() as AsyncIterable<Status> & { stop(): void };
  const follow = async (): Promise<void> => {
    for await (const { type } of statuses) if (type === event) listener();
  };
  // The iterator only ends, also when the connection is closed; it has no failure of its own.
  follow().catch(() => undefined);
  return () => statuses.stop();
}
