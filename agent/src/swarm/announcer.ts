import { digestToBytes } from "../store/manifest.js";
import type { Holding } from "./download.js";
import type { Control } from "./frames.js";
import { Interests } from "./interests.js";
import type { Library } from "./library.js";
import { NewsBatch } from "./news-batch.js";

/**
 * Chunks that become available within so many milliseconds, or so many chunks, are told in one
 * message: each costs what a small packet costs, at both ends, once a neighbour.
 */
const BATCH_MS = 80;
const BATCH_CHUNKS = 8;
/** Who has all of it needs to know only who has what, now and then. */
const BATCH_FOR_WHOLE_MS = 1_000;
/** Chunks in one HAVE, at most. */
export const HAVE_MAX = 4_096;

export interface AnnouncerOptions {
  library: Library;
  send: (peer: string, message: Control) => void;
  /** What a neighbour said that it has of an artifact. */
  holding: (peer: string, digest: string) => Holding | undefined;
  /** Somebody was told that an artifact is here, whole. */
  onWhole: (peer: string, digest: string, chunkCount: number) => void;
}

/** Tells neighbours what this peer has of the artifacts that they are interested in. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #interests = new Interests();
  readonly #toPartial = new NewsBatch(BATCH_MS, BATCH_CHUNKS, (digest, chunks) =>
    this.#tellPartial(digest, chunks),
  );
  readonly #toWhole = new NewsBatch(BATCH_FOR_WHOLE_MS, HAVE_MAX, (digest, chunks) =>
    this.#tellWhole(digest, chunks),
  );

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Answers at once with what is here. */
  async addInterest(peer: string, digest: string): Promise<void> {
    if (this.#interests.add(peer, digest)) await this.#tell([peer], digest);
  }

  removeInterest(peer: string, digest: string): void {
    this.#interests.remove(peer, digest);
  }

  removePeer(peer: string): void {
    this.#interests.removePeer(peer);
  }

  /** What is here changed at once. */
  async announce(digest: string): Promise<void> {
    const peers = this.#interests.of(digest);
    if (peers.length > 0) await this.#tell(peers, digest);
  }

  have(digest: string, chunk: number): void {
    this.#toPartial.add(digest, chunk);
    this.#toWhole.add(digest, chunk);
  }

  close(): void {
    this.#toPartial.close();
    this.#toWhole.close();
  }

  async #tell(peers: readonly string[], digest: string): Promise<void> {
    const artifact = digestToBytes(digest);
    const nothing = { artifact, bitfield: Buffer.alloc(0), complete: false };
    // Made and sent in one go, so that no chunk falls between it and the next HAVE.
    const told = await this.#options.library.use(digest, (shared) => {
      const value = { artifact, bitfield: shared.bits(), complete: shared.complete };
      for (const peer of peers) {
        this.#options.send(peer, { $case: "availability", value });
        const whole = shared.complete && this.#interests.has(peer, digest);
        if (whole) this.#options.onWhole(peer, digest, shared.manifest.chunkCount);
      }
      return true;
    });
    if (told === true) return;
    for (const peer of peers) this.#options.send(peer, { $case: "availability", value: nothing });
  }

  /** Not of what they have themselves: they won't ask for it. */
  #tellPartial(digest: string, chunks: readonly number[]): void {
    for (const peer of this.#interests.of(digest)) {
      const holding = this.#options.holding(peer, digest);
      if (holding === "all") continue;
      this.#sendHave(
        peer,
        digest,
        holding === undefined ? chunks : chunks.filter((chunk) => !holding.has(chunk)),
      );
    }
  }

  #tellWhole(digest: string, chunks: readonly number[]): void {
    for (const peer of this.#interests.of(digest)) {
      if (this.#options.holding(peer, digest) === "all") this.#sendHave(peer, digest, chunks);
    }
  }

  #sendHave(peer: string, digest: string, chunks: readonly number[]): void {
    if (chunks.length === 0) return;
    const value = { artifact: digestToBytes(digest), chunks: [...chunks] };
    this.#options.send(peer, { $case: "have", value });
  }
}
