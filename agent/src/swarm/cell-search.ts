import { setTimeout as delay } from "node:timers/promises";
import type DHT from "hyperdht";
import type { FoundPeer } from "hyperdht";
import type { Logger } from "pino";
import type { Address } from "./types.js";

/** Milliseconds. */
const FIRST_MS = 50;
const MOST_MS = { soon: 1_000, later: 5_000, enough: 30_000 };
/** Of a cell of thousands somebody else says a word every moment. */
const LARGE_MS = 120_000;
/** Peers that a bootstrap node names at once, chosen at random from those it knows. */
const NAMED = 20;

export interface CellSearchOptions {
  dht: DHT;
  topic: Buffer;
  /** Is this peer to be found there, too? */
  announce: boolean;
  keyPair: { publicKey: Buffer; secretKey: Buffer };
  listen: Address;
  log: Logger;
  /** How soon to look for more. */
  mood: () => "soon" | "later" | "enough";
  onFound: (peer: FoundPeer) => void;
}

/** Looks for one cell's members: soon while there are too few, and now and then in any case. */
export class CellSearch {
  readonly #options: CellSearchOptions;
  /** Bootstrap nodes that have not answered yet. */
  readonly #asking = new Set<string>();
  #wait = FIRST_MS;
  #large = false;
  #waking = new AbortController();
  #stopped = false;

  constructor(options: CellSearchOptions) {
    this.#options = options;
    void this.#run();
  }

  /** A neighbour was lost: looks again at once. */
  lookNow(): void {
    if (this.#wait <= FIRST_MS) return;
    this.#wait = FIRST_MS;
    this.#waking.abort();
  }

  /** Takes back what was announced. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#waking.abort();
    const { dht, topic, announce, keyPair } = this.#options;
    if (!announce) return;
    const said = dht.bootstrapNodes.map((node) => dht.unannounce(topic, keyPair, only(node)));
    await Promise.allSettled(said);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (const node of this.#options.dht.bootstrapNodes) void this.#ask(node);
      const mood = this.#options.mood();
      const idle = this.#large ? LARGE_MS : MOST_MS.enough;
      this.#wait = mood === "enough" ? idle : Math.min(this.#wait * 2, MOST_MS[mood]);
      this.#waking = new AbortController();
      const { signal } = this.#waking;
      const jittered = this.#wait * (0.75 + Math.random() / 2);
      await delay(jittered, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /**
   * Hears of others from one bootstrap node, and tells it of this peer. Each is asked by itself: one
   * query for all, as Hyperswarm makes it, ends only when the dead nodes it was told of have timed out.
   */
  async #ask(node: Address): Promise<void> {
    const key = `${node.host}:${node.port}`;
    if (this.#asking.has(key)) return;
    this.#asking.add(key);
    const { dht, topic, announce, keyPair, listen, log, onFound } = this.#options;
    try {
      const query = announce
        ? dht.announce(topic, keyPair, [listen], only(node))
        : dht.lookup(topic, only(node));
      for await (const { peers } of query) {
        if (this.#stopped) return;
        this.#large = peers.length >= NAMED;
        peers.forEach(onFound);
      }
    } catch (error) {
      if (!this.#stopped) log.debug({ err: error, node }, "bootstrap node does not answer");
    } finally {
      this.#asking.delete(key);
    }
  }
}

function only(node: Address): { closestNodes: Address[]; onlyClosestNodes: boolean } {
  return { closestNodes: [node], onlyClosestNodes: true };
}
