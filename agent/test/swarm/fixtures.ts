import { generateKeyPairSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { freePort } from "@slipway/examples/servers";
import { pino } from "pino";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import type { Manifest } from "../../src/store/manifest.js";
import type { ArtifactStore } from "../../src/store/types.js";
import {
  type ArtifactSource,
  type FetchProgress,
  type Identity,
  type Swarm,
  type SwarmOptions,
  createIdentity,
  join,
} from "../../src/swarm/index.js";
import { chunkOf, makeArtifact, temporaryDirectory } from "../store/fixtures.js";

export const log = pino({ level: process.env["TEST_LOG"] ?? "silent" });

export interface Member {
  id: string;
  identity: Identity;
  swarm: Swarm;
  store: ArtifactStore;
  dir: string;
  listen: { host: string; port: number };
}

/** A region on loopback: region agents first, then hosts; all closed and removed by one call. */
export class Region {
  readonly membership = generateKeyPairSync("ed25519");
  /** Of the region agent that joined last. */
  seederKey: Buffer = Buffer.alloc(0);
  readonly bootstrap: { host: string; port: number }[] = [];
  readonly #cleanUp: (() => Promise<void>)[] = [];
  #count = 0;

  identity(id: string, role: "host" | "region", expireTime = new Date(Date.now() + 3_600_000)) {
    const membershipKey = this.membership.privateKey;
    return createIdentity({ id, region: "eu", role, membershipKey, expireTime });
  }

  /** For a bootstrap node in another process. */
  async reserveBootstrap(): Promise<{ host: string; port: number }> {
    const address = { host: "127.0.0.1", port: await freePort() };
    this.bootstrap.push(address);
    return address;
  }

  async join(
    role: "host" | "region",
    options: Partial<SwarmOptions> & {
      dir?: string;
      tamper?: (into: Buffer, length: number) => Promise<void> | void;
    } = {},
  ): Promise<Member> {
    const id = `${role}-${++this.#count}`;
    const own = options.dir === undefined ? await temporaryDirectory() : undefined;
    const dir = options.dir ?? own?.dir ?? "";
    if (own !== undefined) this.#cleanUp.push(own.remove);
    const store = await openArtifactStore(dir);
    const listen = options.listen ?? { host: "127.0.0.1", port: await freePort() };
    if (role === "region" && !this.bootstrap.includes(listen)) this.bootstrap.push(listen);
    const identity = options.identity ?? this.identity(id, role);
    if (role === "region") this.seederKey = identity.publicKey;
    const swarm = await join({
      identity,
      membershipPublicKey: this.membership.publicKey,
      cell: "c1",
      listen,
      bootstrap: this.bootstrap,
      runBootstrap: role === "region",
      source: options.tamper === undefined ? store : tampered(store, options.tamper),
      log: log.child({ id }),
      ...options,
    });
    this.#cleanUp.push(() => swarm.close());
    return { id, identity, swarm, store, dir, listen };
  }

  /** Before the members that joined so far are closed. */
  onClose(cleanUp: () => void): void {
    this.#cleanUp.push(async () => cleanUp());
  }

  async close(): Promise<void> {
    for (const cleanUp of this.#cleanUp.toReversed()) await cleanUp();
  }
}

/** Puts an artifact of so many chunks into a member's store. */
export async function seed(
  member: Member,
  chunks: number,
  chunkBytes = 256 * 1024,
): Promise<{ content: Buffer; manifest: Manifest; digest: string }> {
  const { content, manifest } = makeArtifact(Array.from({ length: chunks }, () => chunkBytes));
  await put(member.store, content, manifest);
  member.swarm.announce(manifest.digest);
  return { content, manifest, digest: manifest.digest };
}

export async function put(
  store: ArtifactStore,
  content: Buffer,
  manifest: Manifest,
): Promise<void> {
  const write = await store.begin(manifest.bytes);
  for (let index = 0; index < manifest.chunkCount; index++) {
    await write.put(index, chunkOf(content, manifest, index));
  }
  await write.complete();
  await write.close();
}

/** Fetches an artifact, and returns the last progress and all of them. */
export async function fetchAll(
  member: Pick<Member, "swarm" | "store">,
  digest: string,
  signal = AbortSignal.timeout(30_000),
): Promise<{ last: FetchProgress; all: FetchProgress[] }> {
  const all: FetchProgress[] = [];
  for await (const progress of member.swarm.fetch(digest, { store: member.store, signal })) {
    all.push(progress);
  }
  const last = all.at(-1);
  if (last === undefined) throw new Error("no progress was said");
  return { last, all };
}

export async function contentOf(store: ArtifactStore, digest: string): Promise<Buffer> {
  const file = await store.path(digest);
  if (file === undefined) throw new Error(`${digest} is not in the store`);
  return readFile(path.resolve(file));
}

/** A source whose reads are changed on their way. */
function tampered(
  source: ArtifactSource,
  onRead: (into: Buffer, length: number) => Promise<void> | void,
): ArtifactSource {
  return {
    open: async (digest) => {
      const artifact = await source.open(digest);
      if (artifact === undefined) return undefined;
      const { manifestBytes, sizeBytes } = artifact;
      return {
        manifestBytes,
        sizeBytes,
        read: async (offset, length, into) => {
          await artifact.read(offset, length, into);
          await onRead(into, length);
        },
        close: () => artifact.close(),
      };
    },
  };
}

/** Waits for something to come true. */
export async function until(condition: () => boolean, what: string, ms = 20_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
