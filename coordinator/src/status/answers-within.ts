import { setTimeout as delay } from "node:timers/promises";
import type { NatsConnection } from "nats";

/** Whether the server itself answers within so many milliseconds: if not, nobody could over it. */
export async function answersWithin(nats: NatsConnection, ms: number): Promise<boolean> {
  const over = new AbortController();
  const answered = nats.flush().then(
    () => true,
    () => false,
  );
  const late = delay(ms, false, { signal: over.signal }).catch(() => false);
  const isThere = await Promise.race([answered, late]);
  over.abort();
  return isThere;
}
