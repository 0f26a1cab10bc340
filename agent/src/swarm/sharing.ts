import type { Logger } from "pino";
import type { Bitfield } from "../store/bitfield.js";
import { digestToBytes } from "../store/manifest.js";
import { Announcer } from "./announcer.js";
import type { Holding } from "./download.js";
import type { Control } from "./frames.js";
import type { Giver } from "./giver.js";
import type { Library } from "./library.js";
import { MANIFEST_PART_BYTES } from "./manifest-fetcher.js";
import { Seeding } from "./seeding.js";

export interface SharingOptions {
  library: Library;
  log: Logger;
  send: (peer: string, message: Control) => void;
  /** What a neighbour said that it has of an artifact. */
  holding: (peer: string, digest: string) => Holding | undefined;
  /** Of a seeder. */
  giver: Giver | undefined;
  /** A copy on this disk turned out wrong, and is not shared any more. */
  onDamaged: (digest: string) => void;
}

/**
 * The giving side, but for the chunks themselves: says what is here, hands out manifests, and looks
 * again at what somebody found wrong. Nothing here rejects: failures are logged.
 */
export class Sharing {
  readonly #options: SharingOptions;
  readonly #announcer: Announcer;
  readonly #seeding: Seeding | undefined;
  /** Peers whose BadChunk is being looked into: one at a time for each. */
  readonly #rechecking = new Set<string>();

  constructor(options: SharingOptions) {
    this.#options = options;
    const { library, send, holding, giver } = options;
    this.#seeding = giver === undefined ? undefined : new Seeding(giver, send);
    this.#announcer = new Announcer({
      library,
      send,
      holding,
      onWhole: (peer, digest, chunks) => this.#seeding?.ask(peer, digest, chunks),
    });
  }

  /** What is here of an artifact changed at once; a copy found damaged may have been replaced. */
  announce(digest: string): void {
    this.#options.library.release(digest);
    this.#announcer.announce(digest).catch(this.#logFailure(digest));
  }

  have(digest: string, chunk: number): void {
    this.#announcer.have(digest, chunk);
  }

  setInterest(peer: string, digest: string, interested: boolean): void {
    if (interested) this.#announcer.addInterest(peer, digest).catch(this.#logFailure(digest));
    else {
      this.#announcer.removeInterest(peer, digest);
      this.#seeding?.forget(peer, digest);
    }
  }

  /** What a peer has of an artifact; RangeError if it does not fit. */
  setHolding(peer: string, digest: string, holding: (chunks: number) => Bitfield | "all"): void {
    this.#seeding?.setHolding(peer, digest, holding);
  }

  /** RangeError if there is no such chunk. */
  addHave(peer: string, digest: string, chunks: readonly number[]): void {
    this.#seeding?.addHave(peer, digest, chunks);
  }

  removePeer(peer: string): void {
    this.#announcer.removePeer(peer);
    this.#seeding?.removePeer(peer);
  }

  sendManifest(peer: string, digest: string, offset: number): void {
    const { library, send } = this.#options;
    const sent = library
      .use(digest, ({ manifest }) => manifest.bytes)
      .then((bytes) => {
        const data = bytes?.subarray(offset, offset + MANIFEST_PART_BYTES) ?? Buffer.alloc(0);
        const artifact = digestToBytes(digest);
        const value = { artifact, offset, totalBytes: bytes?.length ?? 0, data };
        send(peer, { $case: "manifestPart", value });
      });
    sent.catch(this.#logFailure(digest));
  }

  /** This disk's copy has wrong bytes. */
  damaged(digest: string): void {
    const { library, log, onDamaged } = this.#options;
    library.withhold(digest);
    log.error({ digest }, "the copy on this disk is damaged: not shared any more");
    onDamaged(digest);
  }

  /** Somebody says that this peer's copy of a chunk is wrong. */
  recheck(peer: string, digest: string, chunk: number): void {
    if (this.#rechecking.has(peer)) return;
    this.#rechecking.add(peer);
    const { library } = this.#options;
    const checked = library.use(digest, async (shared) => {
      const { manifest } = shared;
      if (chunk >= manifest.chunkCount || !shared.has(chunk)) return;
      const bytes = Buffer.allocUnsafe(manifest.sizeOf(chunk));
      await shared.read(chunk, bytes);
      if (manifest.verify(chunk, bytes)) return;
      this.damaged(digest);
    });
    checked
      .catch(this.#logFailure(digest))
      .finally(() => this.#rechecking.delete(peer))
      .catch(this.#logFailure(digest));
  }

  close(): void {
    this.#announcer.close();
  }

  #logFailure(digest: string): (error: unknown) => void {
    return (error) => this.#options.log.error({ err: error, digest }, "sharing an artifact failed");
  }
}
