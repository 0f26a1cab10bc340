import type { NatsConnection } from "nats";
import type { Logger } from "pino";
import type { Service } from "../context.js";
import { onReconnect } from "../status/reconnects.js";
import { Sweeper } from "../sweeper.js";
import type { FleetKeys } from "./fleet-keys.js";
import type { KeySetPublisher } from "./key-set-publisher.js";

interface Options {
  keys: FleetKeys;
  publisher: KeySetPublisher;
  nats: NatsConnection;
  /** How often the bucket is looked at. */
  publishIntervalMs: number;
  /** How often the file is. */
  reloadIntervalMs: number;
  log: Logger;
}

/**
 * Reads the key set's file again, and keeps what it says in the bucket; also when NATS is back, which
 * may have lost what it had.
 */
export function keySetService(options: Options): Service {
  const { keys, publisher, nats, publishIntervalMs, reloadIntervalMs, log } = options;
  const publishing = new Sweeper({
    sweeps: [{ what: "publishing the key set", run: () => publisher.publish() }],
    intervalMs: publishIntervalMs,
    log,
  });
  const reload = async (): Promise<number> => {
    if ((await keys.reload()) > 0) publishing.wake();
    return 0;
  };
  const reloading = new Sweeper({
    sweeps: [{ what: "reading the key set again", run: reload }],
    intervalMs: reloadIntervalMs,
    log,
  });
  let forget: (() => void) | undefined;
  return {
    async start() {
      forget ??= onReconnect(nats, () => publishing.wake());
      // Before any goal: hosts then know the key that signs it.
      await publishing.runOnce();
      publishing.start();
      reloading.start();
    },
    async stop() {
      forget?.();
      await reloading.stop();
      await publishing.stop();
    },
  };
}
