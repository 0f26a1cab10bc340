/** Artifacts that one peer may be interested in at once; more are ignored. */
const PER_PEER = 256;

/** Which neighbours want to hear of which artifacts. */
export class Interests {
  readonly #peers = new Map<string, Set<string>>();

  /** False if it is one too many. */
  add(peer: string, digest: string): boolean {
    const digests = this.#peers.get(peer) ?? new Set();
    if (digests.size >= PER_PEER && !digests.has(digest)) return false;
    this.#peers.set(peer, digests.add(digest));
    return true;
  }

  remove(peer: string, digest: string): void {
    this.#peers.get(peer)?.delete(digest);
  }

  removePeer(peer: string): void {
    this.#peers.delete(peer);
  }

  has(peer: string, digest: string): boolean {
    return this.#peers.get(peer)?.has(digest) ?? false;
  }

  of(digest: string): string[] {
    return [...this.#peers].filter(([, digests]) => digests.has(digest)).map(([peer]) => peer);
  }
}
