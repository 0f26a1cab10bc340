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
  const entries = await readEntries(kv, { key: filter, headers_only: true });
  return entries.map(({ key, created }) => ({ key, created }));
}

/** What one key holds, read in the same way; undefined if there is none. */
export async function readKey(kv: KV, key: string): Promise<Uint8Array | undefined> {
  return (await readEntries(kv, { key }))[0]?.value;
}

async function readEntries(
  kv: KV,
  options: { key: string; headers_only?: boolean },
): Promise<KvEntry[]> {
  const found: KvEntry[] = [];
  let complete = false;
  let watch: QueuedIterator<KvEntry> | undefined;
  const initializedFn = (): void => {
    complete = true;
    watch?.stop();
  };
  watch = await kv.watch({ ...options, initializedFn });
  // There may have been none at all.
  if (complete) watch.stop();
  const late = setTimeout(() => watch.stop(), TIMEOUT_MS);
  try {
    for await (const entry of watch) {
      if (entry.operation === "PUT") found.push(entry);
    }
  } finally {
    clearTimeout(late);
  }
  if (!complete) throw new Error(`${options.key} could not be read in ${TIMEOUT_MS} ms`);
  return found;
}
