import { StorageType, type KV, type KvOptions, type NatsConnection } from "nats";

const REQUEST_TIMEOUT_MS = 5_000;

/** Opens a bucket that keeps each key's last value on disk, and makes it if there is none. */
export function makeBucket(
  connection: NatsConnection,
  bucket: string,
  options: Partial<KvOptions> = {},
): Promise<KV> {
  return connection
    .jetstream({ timeout: REQUEST_TIMEOUT_MS })
    .views.kv(bucket, { history: 1, storage: StorageType.File, allow_direct: true, ...options });
}
