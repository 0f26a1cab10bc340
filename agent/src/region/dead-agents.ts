import { regionAgentKey } from "@slipway/proto";
import type { KV } from "nats";

/**
 * Deletes the signs of life of a region's other agents that have given none for so long: they were
 * taken away, or have another id now. Told by the NATS server's clock alone, and by this agent's own
 * sign, which must be there. Answers whose.
 */
export async function forgetDeadAgents(
  kv: KV,
  { region, agentId, afterMs }: { region: string; agentId: string; afterMs: number },
): Promise<string[]> {
  const own = regionAgentKey(region, agentId);
  const last = await kv.get(own);
  if (last === null) return [];
  const others: string[] = [];
  for await (const key of await kv.keys(regionAgentKey(region, "*"))) {
    if (key !== own) others.push(key);
  }
  const dead: string[] = [];
  for (const key of others) {
    const entry = await kv.get(key);
    if (entry?.operation !== "PUT") continue;
    if (last.created.getTime() - entry.created.getTime() < afterMs) continue;
    // Should it come back at this very moment, it says so again within seconds.
    await kv.delete(key);
    dead.push(key.slice(regionAgentKey(region, "").length));
  }
  return dead;
}
