import { regionAgentKey } from "@slipway/proto";
import type { KV, KvEntry, QueuedIterator } from "nats";

const READ_TIMEOUT_MS = 5_000;

/**
 * Deletes the signs of life of a region's other agents that have given none for so long: they were
 * taken away, or have another id now. Told by the NATS server's clock alone, and by this agent's own
 * sign, which must be there. Answers whose.
 * @throws Error if they cannot be read in time.
 */
export async function forgetDeadAgents(
  kv: KV,
  { region, agentId, afterMs }: { region: string; agentId: string; afterMs: number },
): Promise<string[]> {
  const signs = await readAll(kv, regionAgentKey(region, "*"));
  const own = regionAgentKey(region, agentId);
  const last = signs.find(({ key }) => key === own)?.created.getTime() ?? 0;
  const dead = signs.filter(({ created }) => last - created.getTime() >= afterMs);
  for (const { key } of dead) {
    // Should it come back at this very moment, it says so again within seconds.
    await kv.delete(key);
  }
  return dead.map(({ key }) => key.slice(regionAgentKey(region, "").length));
}

/** By a watch: an agent may read no single message of the bucket. */
async function readAll(kv: KV, keys: string): Promise<KvEntry[]> {
  let watch: QueuedIterator<KvEntry> | undefined;
  let isWhole = false;
  const initializedFn = (): void => {
    isWhole = true;
    watch?.stop();
  };
  watch = await kv.watch({ key: keys, initializedFn });
  if (isWhole) watch.stop();
  const late = setTimeout(() => watch.stop(), READ_TIMEOUT_MS);
  const entries: KvEntry[] = [];
  try {
    for await (const entry of watch) if (entry.operation === "PUT") entries.push(entry);
  } finally {
    clearTimeout(late);
  }
  if (!isWhole) throw new Error(`${keys} could not be read in ${READ_TIMEOUT_MS} ms`);
  return entries;
}
