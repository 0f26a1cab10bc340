import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { FoundPeer } from "hyperdht";
import type { NoiseStream } from "hyperswarm";
import type { Logger } from "pino";
import type { AdmissionLimits } from "./admission-limits.js";
import { boundFrames, trustFrames } from "./bounded-frames.js";
import type { Candidate } from "./candidates.js";
import { CellSearch } from "./cell-search.js";
import { REPEATED_MS } from "./dht-gate.js";
import { PrivateDht, type PrivateDhtOptions } from "./private-dht.js";
import { PrivateSwarm } from "./private-swarm.js";
import type { RefusalReason } from "./refusals.js";
import type { Address } from "./types.js";
import { steadyNow } from "../steady-now.js";

/** Milliseconds. */
const PROBE_MS = 400;
const REPROBE_MS = 15_000;
/** A peer that does not answer within this time is gone. */
const PING_MS = 2_500;
const PING_PAUSE_MS = 100;
/** More than are ever wanted: one of a dead address lasts 4 s, and must not hold up the others. */
const DIALS_AT_ONCE = 128;
/** Peers are dialled by name; which topic they were found on makes no difference. */
const NO_TOPIC = Buffer.alloc(32);
const CLOSE_MS = 1_000;
/** 4 s would drop links that a pause of 3 s does not break. */
const KEEP_ALIVE_MS = 2_000;
const TIMEOUT_MS = 8_000;

export interface DiscoveryOptions {
  keyPair: { publicKey: Buffer; secretKey: Buffer };
  listen: Address;
  bootstrap: readonly Address[];
  runBootstrap: boolean;
  /** Where a cell's members meet; at least one. */
  topics: (cell: string) => readonly Buffer[];
  log: Logger;
  admission: AdmissionLimits;
  onRefused: (reason: RefusalReason) => void;
  /** How soon to look for more peers of a cell. */
  mood: (cell: string) => "soon" | "later" | "enough";
  onFound: (candidate: Candidate) => void;
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
  readonly #dht: PrivateDht;
  readonly #swarm: PrivateSwarm;
  /** By topic, in hexadecimal. */
  readonly #searches = new Map<string, CellSearch>();
  readonly #closing = new AbortController();
  readonly #bans = new Map<string, NodeJS.Timeout>();
  #closed: Promise<void> | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    const { admission, onRefused } = options;
    const { host, port } = options.listen;
    const common = { host, admission, onRefused };
    this.#dht = options.runBootstrap
      ? // It is among its own bootstrap nodes: else what it announces itself is kept nowhere.
        PrivateDht.bootstrapper<PrivateDht, PrivateDhtOptions>(port, host, {
          ...common,
          bootstrap: [...options.bootstrap, { host, port }],
        })
      : new PrivateDht({
          ...common,
          port,
          anyPort: false,
          firewalled: false,
          // Else it would keep things for others after some minutes, whoever they are.
          ephemeral: true,
          bootstrap: [...options.bootstrap],
        });
    this.#swarm = new PrivateSwarm({
      admission,
      onRefused,
      handshakeClearWait: REPEATED_MS,
      dht: this.#dht,
      keyPair: options.keyPair,
      // Which connections there are is not for it to decide.
      maxPeers: Number.MAX_SAFE_INTEGER,
      maxParallel: DIALS_AT_ONCE,
    });
    this.#swarm.on("connection", (stream) => {
      stream.setKeepAlive(KEEP_ALIVE_MS);
      stream.setTimeout(TIMEOUT_MS);
      boundFrames(stream);
      options.onConnection(stream);
    });
  }

  /** Throws if the port is taken. */
  async start(): Promise<void> {
    await this.#dht.bind();
    // Takes connections at once, but ends only when it has said so to all of the DHT.
    this.#swarm.listen().catch((error: unknown) => {
      if (this.#closed === undefined) this.#options.log.warn({ err: error }, "listening failed");
    });
    await this.#probe();
    void this.#reprobe();
  }

  /** Looks for a cell's members from now on, and is found by them if it is one of their neighbours. */
  join(cell: string, { announce }: { announce: boolean }): void {
    if (this.#closed !== undefined) return;
    const { keyPair, listen, log, topics, mood } = this.#options;
    for (const topic of topics(cell)) {
      const name = topic.toString("hex");
      if (this.#searches.has(name)) continue;
      const search = new CellSearch({
        dht: this.#dht,
        topic,
        announce,
        keyPair,
        listen,
        log,
        mood: () => mood(cell),
        onFound: (peer) => this.#found(peer, cell),
      });
      this.#searches.set(name, search);
    }
  }

  /** A neighbour was lost: looks again at once. */
  lookNow(): void {
    for (const search of this.#searches.values()) search.lookNow();
  }

  /** The other end of this connection is a member. */
  letIn(stream: NoiseStream): void {
    trustFrames(stream);
    this.#swarm.letIn(stream);
  }

  /** Connections that others made and that were not let in yet. */
  get strangers(): number {
    return this.#swarm.waiting;
  }

  /** Does nothing if it is connected, or is being dialled. */
  dial({ publicKey, address }: Candidate): void {
    if (this.#closed !== undefined || this.banned(publicKey)) return;
    const peer = { publicKey, relayAddresses: [address] };
    // oxlint-disable-next-line no-underscore-dangle -- it has no other way to say an address too
    this.#swarm._handlePeer(peer, NO_TOPIC);
  }

  /** Whether the process at this address still answers. */
  async ping(address: Address): Promise<boolean> {
    const end = steadyNow() + PING_MS;
    do {
      try {
        await this.#dht.ping(address, { retry: false });
        return true;
      } catch (error) {
        this.#options.log.debug({ err: error, ...address }, "a peer does not answer");
      }
    } while (steadyNow() < end && (await this.#sleep(PING_PAUSE_MS)));
    return false;
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
    const polite = this.#leave().then(() => true);
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
    const others = bootstrap.filter((node) => !sameAddress(node, listen));
    return runBootstrap ? [...others, listen] : others;
  }

  async #reprobe(): Promise<void> {
    while (await this.#sleep(REPROBE_MS)) await this.#probe();
  }

  #found({ publicKey, relayAddresses }: FoundPeer, cell: string): void {
    const [address] = relayAddresses;
    if (this.#closed !== undefined || address === undefined) return;
    const seeder = this.#options.bootstrap.some((node) => sameAddress(node, address));
    const id = publicKey.toString("hex");
    this.#options.onFound({ id, publicKey, address, cell, seeder });
  }

  async #leave(): Promise<void> {
    await Promise.all([...this.#searches.values()].map((search) => search.leave()));
    await this.#swarm.destroy();
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

function sameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}

/** The topic on which a cell's members find each other; secret as the fleet's key is not guessed. */
export function cellTopic(membershipKey: Buffer, region: string, cell: string): Buffer {
  const hash = createHash("sha256").update("slipway topic v1\n").update(membershipKey);
  return hash.update(`\n${region}\n${cell}`).digest();
}
