import type { Encryption } from "@slipway/agent/swarm";
import { freePort } from "@slipway/examples/servers";
import type { Artifact } from "./artifact.js";
import { Fleet, type Place } from "./fleet.js";
import type { PeerMessage } from "./peer.js";

/** What one run came to. */
export interface SwarmRun {
  hosts: Extract<PeerMessage, { kind: "done" }>[];
  seeder: Extract<PeerMessage, { kind: "usage" }>;
}

/** Spreads the artifact from one seeder to hosts, each a process of its own, on loopback. */
export async function runSwarm(options: {
  artifact: Artifact;
  hosts: number;
  encryption: Encryption;
  dir: string;
  profile?: string | undefined;
}): Promise<SwarmRun> {
  const { artifact, hosts, encryption, dir, profile } = options;
  const fleet = await Fleet.start({
    artifact,
    seeder: await place(),
    hosts: await Promise.all(Array.from({ length: hosts }, place)),
    encryption,
    dir,
    neighbours: 1,
    profile,
  });
  try {
    const done = Promise.all(fleet.hosts.map((host) => host.next("done")));
    fleet.go();
    const results = await done;
    const usage = fleet.seeder.next("usage");
    fleet.seeder.order("usage");
    return { hosts: results, seeder: await usage };
  } finally {
    await fleet.end();
  }
}

async function place(): Promise<Place> {
  return { listen: { host: "127.0.0.1", port: await freePort() } };
}
