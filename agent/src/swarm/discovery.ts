import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import DHT, { type FoundPeer } from "hyperdht";
import Hyperswarm, { type NoiseStream } from "hyperswarm";
import type { Logger } from "pino";
import type { Address } from "./types.js";

/** Milliseconds. */
const PROBE_MS = 400;
const REPROBE_MS = 15_000;
const REFRESH_FIRST_MS = 50;
const REFRESH_LAST_MS = 5_000;
const REFRESH_IDLE_MS = 30_000;
const CLOSE_MS = 1_000;
/** 4 s would drop links that a pause of 3 s does not break. */
const KEEP_ALIVE_MS = 2_000;
const TIMEOUT_MS = 8_000;

export interface DiscoveryOptions {
  keyPair: { publicKey: Buffer; secretKey: Buffer };
  listen: Address;
  bootstrap: readonly Address[];
  runBootstrap: boolean;
  maxPeers: number;
  log: Logger;
  /** How many neighbours said hello. */
  neighbours: () => number;
  /** A connection whose other end proved its key, but not that it is a member, or even alive. */
  onConnection: (stream: NoiseStream) => void;
}

/**
 * Finds the members of a cell on a private DHT. Hyperswarm's own settings fail there: behind
 * `firewalled: true` connections abort silently, simultaneous joiners miss each other until its
 * next refresh, minutes later, and a dead bootstrap node costs seconds.
 */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #dht: DHT;
  readonly #swarm: Hyperswarm;
  readonly #topics = new Set<string>();
  /** Announcements that are not answered yet: one a topic and node. */
  readonly #announcing = new Set<string>();
  readonly #closing = new AbortController();
  readonly #bans = new Map<string, NodeJS.Timeout>();
  #closed: Promise<void> | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    const { host, port } = options.listen;
    this.#dht = options.runBootstrap
      ? // It is among its own bootstrap nodes: else what it announces itself is kept nowhere.
        DHT.bootstrapper(port, host, { host, bootstrap: [...options.bootstrap, { host, port }] })
      : new DHT({
          host,
          port,
          anyPort: false,
          firewalled: false,
          bootstrap: [...options.bootstrap],
        });
    this.#swarm = new Hyperswarm({
      dht: this.#dht,
      keyPair: options.keyPair,
      maxPeers: options.maxPeers,
      maxParallel: 16,
    });
    this.#swarm.on("connection", (stream) => {
      stream.setKeepAlive(KEEP_ALIVE_MS);
      stream.setTimeout(TIMEOUT_MS);
      options.onConnection(stream);
    });
  }

  /** Throws if the port is taken. */
  async start(): Promise<void> {
    await this.#dht.bind();
    await this.#probe();
    void this.#reprobe();
  }

  join(topic: Buffer): void {
    const key = topic.toString("hex");
    if (this.#topics.has(key) || this.#closed !== undefined) return;
    this.#topics.add(key);
    this.#swarm.join(topic);
    void this.#refresh(topic);
  }

  /** A neighbour told of this peer. */
  hint(publicKey: Buffer, address: Address, topic: Buffer): void {
    this.#found({ publicKey, relayAddresses: [address] }, topic);
  }

  /** No connections with this peer for so long. */
  ban(publicKey: Buffer, ms: number): void {
    const key = publicKey.toString("hex");
    this.#swarm.peers.get(key)?.ban(true);
    clearTimeout(this.#bans.get(key));
    const lift = (): void => {
      this.#bans.delete(key);
      this.#swarm.peers.get(key)?.ban(false);
    };
    this.#bans.set(key, setTimeout(lift, ms).unref());
  }

  banned(publicKey: Buffer): boolean {
    return this.#bans.has(publicKey.toString("hex"));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    for (const timer of this.#bans.values()) clearTimeout(timer);
    // Saying goodbye to the DHT can wait for nodes that are dead.
    const polite = this.#swarm.destroy().then(() => true);
    const patience = new AbortController();
    const waited = delay(CLOSE_MS, false, { signal: patience.signal }).catch(() => false);
    try {
      if (!(await Promise.race([polite, waited]))) await this.#dht.destroy({ force: true });
    } catch (error) {
      // A node that never got its port can't be destroyed, and leaves this open.
      this.#dht.io.networkInterfaces.destroy();
      this.#options.log.debug({ err: error }, "leaving failed");
    } finally {
      patience.abort();
      polite.catch((error: unknown) => this.#options.log.debug({ err: error }, "leaving failed"));
    }
  }

  /** Uses the bootstrap nodes that answer at once; all of them if none does. */
  async #probe(): Promise<void> {
    const all = this.#bootstrapNodes();
    const alive: Address[] = [];
    const pings = all.map(async (node) => {
      await this.#dht.ping(node, { retry: false });
      alive.push(node);
    });
    const stop = new AbortController();
    const waited = delay(PROBE_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    await Promise.race([Promise.allSettled(pings), waited]);
    stop.abort();
    this.#dht.bootstrapNodes = alive.length > 0 ? [...alive] : all;
    if (alive.length < all.length) {
      this.#options.log.debug({ alive: alive.length, of: all.length }, "bootstrap nodes probed");
    }
  }

  #bootstrapNodes(): Address[] {
    const { bootstrap, listen, runBootstrap } = this.#options;
    const isSelf = (node: Address): boolean =>
      node.host === listen.host && node.port === listen.port;
    const others = bootstrap.filter((node) => !isSelf(node));
    return runBootstrap ? [...others, listen] : others;
  }

  async #reprobe(): Promise<void> {
    while (await this.#sleep(REPROBE_MS)) await this.#probe();
  }

  /** Looks again soon while there are too few neighbours, and now and then in any case. */
  async #refresh(topic: Buffer): Promise<void> {
    let wait = REFRESH_FIRST_MS;
    do {
      for (const node of this.#dht.bootstrapNodes) void this.#announce(topic, node);
      const enough = this.#options.neighbours() >= this.#options.maxPeers;
      wait = enough ? REFRESH_IDLE_MS : Math.min(wait * 2, REFRESH_LAST_MS);
    } while (await this.#sleep(wait));
  }

  /**
   * Tells one bootstrap node of this peer, and hears of others. Each is asked by itself: one query
   * for all, as Hyperswarm makes it, ends only when the dead nodes it was told of have timed out.
   */
  async #announce(topic: Buffer, node: Address): Promise<void> {
    const key = `${topic.toString("hex")} ${node.host}:${node.port}`;
    if (this.#announcing.has(key)) return;
    this.#announcing.add(key);
    const { keyPair, listen } = this.#options;
    const only = { closestNodes: [node], onlyClosestNodes: true };
    try {
      for await (const { peers } of this.#dht.announce(topic, keyPair, [listen], only)) {
        for (const peer of peers) this.#found(peer, topic);
      }
    } catch (error) {
      if (this.#closed === undefined) {
        this.#options.log.debug({ err: error, node }, "bootstrap node does not answer");
      }
    } finally {
      this.#announcing.delete(key);
    }
  }

  #found(peer: FoundPeer, topic: Buffer): void {
    if (this.#closed !== undefined) return;
    // oxlint-disable-next-line no-underscore-dangle -- it has no other way to say an address too
    this.#swarm._handlePeer(peer, topic);
  }

  /** With jitter; false once it closes. */
  async #sleep(ms: number): Promise<boolean> {
    const { signal } = this.#closing;
    try {
      await delay(ms * (0.75 + Math.random() / 2), undefined, { signal, ref: false });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }
}

/** The topic on which a cell's members find each other; secret as the fleet's key is not guessed. */
export function cellTopic(membershipKey: Buffer, region: string, cell: string): Buffer {
  const hash = createHash("sha256").update("slipway topic v1\n").update(membershipKey);
  return hash.update(`\n${region}\n${cell}`).digest();
}
