import { digestToBytes } from "../store/manifest.js";
import type { Control } from "./frames.js";
import { Interests } from "./interests.js";
import type { Library } from "./library.js";

/** Chunks that become available within so many milliseconds are told in one message. */
const BATCH_MS = 20;
/** Chunks in one HAVE, at most. */
export const HAVE_MAX = 4_096;

/** Tells neighbours what this peer has of the artifacts that they are interested in. */
export class Announcer {
  readonly #library: Library;
  readonly #send: (peer: string, message: Control) => void;
  readonly #onWhole: (peer: string, digest: string, chunkCount: number) => void;
  readonly #interests = new Interests();
  #batch = new Map<string, number[]>();
  #timer: NodeJS.Timeout | undefined;

  /** `onWhole`: somebody was told that an artifact is here, whole. */
  constructor(
    library: Library,
    send: (peer: string, message: Control) => void,
    onWhole: (peer: string, digest: string, chunkCount: number) => void,
  ) {
    this.#library = library;
    this.#send = send;
    this.#onWhole = onWhole;
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
    const chunks = this.#batch.get(digest);
    if (chunks === undefined) this.#batch.set(digest, [chunk]);
    else chunks.push(chunk);
    this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#batch.clear();
  }

  async #tell(peers: readonly string[], digest: string): Promise<void> {
    const artifact = digestToBytes(digest);
    const nothing = { artifact, bitfield: Buffer.alloc(0), complete: false };
    // Made and sent in one go, so that no chunk falls between it and the next HAVE.
    const told = await this.#library.use(digest, (shared) => {
      const value = { artifact, bitfield: shared.bits(), complete: shared.complete };
      for (const peer of peers) {
        this.#send(peer, { $case: "availability", value });
        const whole = shared.complete && this.#interests.has(peer, digest);
        if (whole) this.#onWhole(peer, digest, shared.manifest.chunkCount);
      }
      return true;
    });
    if (told === true) return;
    for (const peer of peers) this.#send(peer, { $case: "availability", value: nothing });
  }

  #flush(): void {
    this.#timer = undefined;
    const batch = this.#batch;
    this.#batch = new Map();
    for (const [digest, chunks] of batch) {
      const artifact = digestToBytes(digest);
      for (let from = 0; from < chunks.length; from += HAVE_MAX) {
        const value = { artifact, chunks: chunks.slice(from, from + HAVE_MAX) };
        for (const peer of this.#interests.of(digest)) this.#send(peer, { $case: "have", value });
      }
    }
  }
}
