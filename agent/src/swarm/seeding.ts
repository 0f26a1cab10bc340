import type { Bitfield } from "../store/bitfield.js";
import { digestToBytes } from "../store/manifest.js";
import type { Control } from "./frames.js";
import type { Giver } from "./giver.js";

/**
 * A seeder's interest in what those have who fetch from it, so that it gives out what is rare among
 * them.
 */
export class Seeding {
  readonly #giver: Giver;
  readonly #send: (peer: string, message: Control) => void;
  /** Digest → who was asked what they have, and of how many chunks. */
  readonly #asked = new Map<string, { chunks: number; peers: Set<string> }>();

  constructor(giver: Giver, send: (peer: string, message: Control) => void) {
    this.#giver = giver;
    this.#send = send;
  }

  /** Somebody fetches an artifact that is here, whole. */
  ask(peer: string, digest: string, chunks: number): void {
    const asked = this.#asked.get(digest) ?? { chunks, peers: new Set() };
    if (asked.peers.has(peer)) return;
    this.#asked.set(digest, asked);
    asked.peers.add(peer);
    this.#say(peer, digest, true);
  }

  /** Somebody does not fetch it any more. */
  forget(peer: string, digest: string): void {
    if (!this.#drop(peer, digest)) return;
    this.#giver.removeInterest(peer, digest);
    this.#say(peer, digest, false);
  }

  removePeer(peer: string): void {
    for (const digest of this.#asked.keys()) this.#drop(peer, digest);
    this.#giver.removePeer(peer);
  }

  /** RangeError if the holding does not fit. */
  setHolding(peer: string, digest: string, holding: (chunks: number) => Bitfield | "all"): void {
    const asked = this.#asked.get(digest);
    if (asked?.peers.has(peer) !== true) return;
    this.#giver.setHolding(peer, digest, asked.chunks, holding(asked.chunks));
  }

  /** RangeError if there is no such chunk. */
  addHave(peer: string, digest: string, chunks: readonly number[]): void {
    const asked = this.#asked.get(digest);
    if (asked?.peers.has(peer) !== true) return;
    const wrong = chunks.find((chunk) => chunk >= asked.chunks);
    if (wrong !== undefined) throw new RangeError(`no chunk ${wrong} of ${asked.chunks}`);
    this.#giver.addHave(peer, digest, chunks);
  }

  #drop(peer: string, digest: string): boolean {
    const asked = this.#asked.get(digest);
    if (asked?.peers.delete(peer) !== true) return false;
    if (asked.peers.size === 0) this.#asked.delete(digest);
    return true;
  }

  #say(peer: string, digest: string, interested: boolean): void {
    const value = { artifact: digestToBytes(digest), interested };
    this.#send(peer, { $case: "interest", value });
  }
}
