import { Events, type NatsConnection, type Status } from "nats";

/** Calls the listener each time the connection is back after a loss. Answers how to stop that. */
export function onReconnect(nats: NatsConnection, listener: () => void): () => void {
  const statuses = nats.status() as AsyncIterable<Status> & { stop(): void };
  const follow = async (): Promise<void> => {
    for await (const { type } of statuses) if (type === Events.Reconnect) listener();
  };
  // The iterator only ends, also when the connection is closed; it has no failure of its own.
  follow().catch(() => undefined);
  return () => statuses.stop();
}
