import { goalSubject, regionGoalsBucket } from "@slipway/proto";
import type { NatsConnection } from "nats";
import type { Logger } from "../log.js";
import { makeBucket } from "../nats/make-bucket.js";

const REQUEST_TIMEOUT_MS = 5_000;

/** Makes the region's bucket, or gives it back the republishing that hosts live by. */
export async function prepareGoalsBucket(
  connection: NatsConnection,
  region: string,
  log: Logger,
): Promise<void> {
  const bucket = regionGoalsBucket(region);
  const republish = { src: `$KV.${bucket}.>`, dest: goalSubject(region, ">") };
  await makeBucket(connection, bucket, { republish });
  const manager = await connection.jetstreamManager({
    checkAPI: false,
    timeout: REQUEST_TIMEOUT_MS,
  });
  const { config } = await manager.streams.info(`KV_${bucket}`);
  if (config.republish?.dest === republish.dest && config.allow_direct) return;
  log.warn({ bucket }, "bucket does not republish as it should; changed");
  await manager.streams.update(`KV_${bucket}`, { ...config, republish, allow_direct: true });
}
