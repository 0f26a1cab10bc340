import type { Encryption } from "@slipway/agent/swarm";
import { Fleet, type Place } from "../fleet.js";
import { sameBytes } from "./bytes.js";
import type { Contender } from "./contender.js";
import { type Fault, SLOW } from "./fault.js";

const PORT = 7777;
/** What a host's standing mesh is to have at least, in a fleet that large. */
const MESH = 8;

export interface SlipwayOptions {
  encryption: Encryption;
  profile: string | undefined;
  /** Needs a spare link, for the odd one. */
  fault?: Fault & { bitsPerSecond: number };
}

/** Our own: the mesh stands before the start, as it does in a fleet; what hosts are told is a digest. */
export function slipway({ fault, ...options }: SlipwayOptions): Contender {
  return {
    lineUp: async ({ network, hosts, artifact, warm, dir }) => {
      const place = (index: number): Place => ({
        listen: { host: network.address(index), port: PORT },
        namespace: network.namespace(index),
      });
      const oddIndex = hosts + 1;
      const manner = fault?.odd === "slow" ? undefined : fault?.odd;
      if (fault?.odd !== undefined) {
        const share = fault.odd === "slow" ? SLOW : 1;
        await network.setSendRate(oddIndex, fault.bitsPerSecond * share);
      }
      const fleet = await Fleet.start({
        artifact,
        warm,
        seeder: place(0),
        hosts: Array.from({ length: hosts }, (_, index) => place(index + 1)),
        ...options,
        ...(fault?.odd === undefined ? {} : { odd: { ...place(oddIndex), manner } }),
        dir,
        neighbours: Math.min(MESH, hosts),
      });
      const finishing = fleet.hosts.slice(fault?.doomed?.(hosts) ?? 0);
      const files: string[] = [];
      return {
        hosts: finishing.map(({ pid }) => pid),
        go: async () => {
          const ends = finishing.map(async (host) => {
            const { endedAt, file } = await host.next("done");
            files.push(file);
            return endedAt;
          });
          const startedAt = Date.now();
          const struck = fault?.strike?.({ network, fleet });
          fleet.go();
          const over = Promise.resolve(struck);
          return { startedAt, ends: ends.map(async (end) => (await Promise.all([end, over]))[0]) };
        },
        check: async () => {
          for (const file of files) {
            if (!(await sameBytes(file, artifact.file))) throw new Error(`${file} has wrong bytes`);
          }
        },
        end: () => fleet.end(),
      };
    },
  };
}
