import { regionAgentKey } from "@slipway/proto";
import type { KV } from "nats";
import { readHeaders } from "../nats/read-headers.js";

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
  const signs = await readHeaders(kv, regionAgentKey(region, "*"));
  const own = regionAgentKey(region, agentId);
  const last = signs.find(({ key }) => key === own)?.created.getTime() ?? 0;
  const dead = signs.filter(({ created }) => last - created.getTime() >= afterMs);
  for (const { key } of dead) {
    // Should it come back at this very moment, it says so again within seconds.
    await kv.delete(key);
  }
  return dead.map(({ key }) => key.slice(regionAgentKey(region, "").length));
}
