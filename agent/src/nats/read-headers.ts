import type { KV, KvEntry, QueuedIterator } from "nats";

const TIMEOUT_MS = 5_000;

/** A key of a bucket, without its value. */
export interface KeyHeader {
  key: string;
  /** When it was written, by the server's clock. */
  created: Date;
}

/**
 * The keys of a bucket that fit, deleted ones aside. It watches instead of asking for keys: a watch
 * says in its request's subject which keys it is for, so that nats-server can refuse those of others,
 * and an answer to it comes to nobody else.
 * @throws Error if they cannot be read in time
 */
export async function readHeaders(kv: KV, filter: string): Promise<KeyHeader[]> {
  const found: KeyHeader[] = [];
  let complete = false;
  let watch: QueuedIterator<KvEntry> | undefined;
  const initializedFn = (): void => {
    complete = true;
    watch?.stop();
  };
  watch = await kv.watch({ key: filter, headers_only: true, initializedFn });
  // There may have been none at all.
  if (complete) watch.stop();
  const late = setTimeout(() => watch.stop(), TIMEOUT_MS);
  try {
    for await (const { key, created, operation } of watch) {
      if (operation === "PUT") found.push({ key, created });
    }
  } finally {
    clearTimeout(late);
  }
  if (!complete) throw new Error(`${filter} could not be read in ${TIMEOUT_MS} ms`);
  return found;
}
