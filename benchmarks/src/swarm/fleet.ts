import { generateKeyPairSync } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { createIdentity, writeIdentity } from "@slipway/agent";
import type { Address, Encryption } from "@slipway/agent/swarm";
import type { Artifact } from "./artifact.js";
import type { Manner, Seed } from "./file-source.js";
import { PeerProcess } from "./peer-process.js";

const READY_MS = 60_000;

/** Where a peer runs. */
export interface Place {
  listen: Address;
  /** A network namespace; else the machine's own network. */
  namespace?: string;
}

export interface FleetOptions {
  artifact: Artifact;
  /** Spread before anybody is ready. */
  warm?: Artifact | undefined;
  seeder: Place;
  hosts: readonly Place[];
  encryption: Encryption;
  /** One more host that has everything, and what is wrong with it. */
  odd?: Place & { manner: Manner | undefined };
  /** For the peers' files. */
  dir: string;
  /** A host is ready once it has so many neighbours. */
  neighbours: number;
  /** A directory for profiles. */
  profile: string | undefined;
}

/** A seeder and hosts, neighbours already, each a process of its own. */
export class Fleet {
  /** All of them, the seeder first. */
  readonly #peers: PeerProcess[] = [];
  #hosts: PeerProcess[] = [];

  private constructor() {}

  static async start(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet();
    try {
      await fleet.#start(options);
      return fleet;
    } catch (error) {
      await fleet.end();
      throw error;
    }
  }

  get seeder(): PeerProcess {
    const [seeder] = this.#peers;
    if (seeder === undefined) throw new Error("no seeder");
    return seeder;
  }

  get hosts(): readonly PeerProcess[] {
    return this.#hosts;
  }

  go(): void {
    for (const peer of this.#peers) peer.order("go");
  }

  async end(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.end()));
  }

  async #start(options: FleetOptions): Promise<void> {
    const { artifact, warm, seeder, hosts, odd, encryption, dir, neighbours, profile } = options;
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const membershipPublicKey = publicKey.export({ type: "spki", format: "pem" }) as string;
    const expireTime = new Date(Date.now() + 3_600_000);
    const start = async (
      id: string,
      role: "host" | "region",
      place: Place,
      seeds: Seed[] = [],
    ): Promise<PeerProcess> => {
      const own = path.join(dir, id);
      await mkdir(own, { recursive: true });
      const identityFile = path.join(own, "identity.json");
      // Left by a run before with the same directory, whose artifacts the peer has.
      await rm(identityFile, { force: true });
      const fields = { id, region: "bench", role, membershipKey: privateKey, expireTime };
      await writeIdentity(identityFile, createIdentity(fields));
      const peer = new PeerProcess({
        name: id,
        config: {
          identityFile,
          membershipPublicKey,
          listen: place.listen,
          bootstrap: [seeder.listen],
          encryption,
          digest: artifact.digest,
          dir: own,
          neighbours,
          seeds,
          ...(warm === undefined ? {} : { warm: warm.digest }),
        },
        ...(place.namespace === undefined ? {} : { namespace: place.namespace }),
        ...(profile === undefined ? {} : { profile }),
      });
      this.#peers.push(peer);
      await peer.next("ready", READY_MS);
      return peer;
    };
    await start("seeder", "region", seeder, warm === undefined ? [artifact] : [artifact, warm]);
    if (odd !== undefined) {
      const manner = odd.manner === undefined ? {} : { manner: odd.manner };
      await start("odd", "host", odd, [{ ...artifact, ...manner }]);
    }
    this.#hosts = await Promise.all(
      hosts.map((place, index) => start(`host-${index}`, "host", place)),
    );
  }
}
