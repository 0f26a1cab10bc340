import type { Encryption } from "@slipway/agent/swarm";
import { Fleet } from "../fleet.js";
import type { Contender } from "./contender.js";

const PORT = 7777;
/** What a host's standing mesh is to have at least, in a fleet that large. */
const MESH = 8;

/** Our own: the mesh stands before the start, as it does in a fleet; what hosts are told is a digest. */
export function slipway(options: {
  encryption: Encryption;
  profile: string | undefined;
}): Contender {
  return {
    lineUp: async ({ network, hosts, artifact, dir }) => {
      const place = (index: number) => ({
        listen: { host: network.address(index), port: PORT },
        namespace: network.namespace(index),
      });
      const fleet = await Fleet.start({
        artifact,
        seeder: place(0),
        hosts: Array.from({ length: hosts }, (_, index) => place(index + 1)),
        ...options,
        dir,
        neighbours: Math.min(MESH, hosts),
      });
      return {
        hosts: fleet.hosts.map(({ pid }) => pid),
        go: () => {
          const ends = fleet.hosts.map(async (host) => (await host.next("done")).endedAt);
          const startedAt = Date.now();
          fleet.go();
          return Promise.resolve({ startedAt, ends });
        },
        end: () => fleet.end(),
      };
    },
  };
}
