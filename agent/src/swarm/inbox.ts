import { Bitfield } from "../store/bitfield.js";
import { ManifestError, digestFromBytes } from "../store/manifest.js";
import { HAVE_MAX } from "./announcer.js";
import { type Control, ProtocolError } from "./frames.js";
import type { ManifestFetcher } from "./manifest-fetcher.js";
import type { Peer } from "./peer.js";
import type { Scheduler } from "./scheduler.js";
import type { Sharing } from "./sharing.js";

/** So many chunks of an artifact are as much work as a message, for whoever is told what a peer has of it. */
const CHUNKS_A_MESSAGE = 1_024;

export interface InboxOptions {
  scheduler: Scheduler;
  sharing: Sharing;
  manifests: ManifestFetcher;
  /** More may be asked now. */
  schedule: () => void;
}

/** Checks what peers say on the control stream, and tells whom it concerns. */
export class Inbox {
  readonly #options: InboxOptions;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** Throws ProtocolError if the message breaks the protocol. */
  accept(peer: Peer, message: Control): void {
    const { sharing, manifests } = this.#options;
    switch (message.$case) {
      case "interest":
        this.#onInterest(peer, digestOf(message.value.artifact), message.value.interested);
        break;
      case "availability": {
        const { artifact, bitfield, complete } = message.value;
        this.#onAvailability(peer, digestOf(artifact), complete ? "all" : bitfield);
        break;
      }
      case "have":
        this.#onHave(peer, digestOf(message.value.artifact), message.value.chunks);
        break;
      case "manifestRequest": {
        const { artifact, offset } = message.value;
        sharing.sendManifest(peer.id, digestOf(artifact), offset);
        break;
      }
      case "manifestPart":
        manifests.accept(peer, digestOf(message.value.artifact), message.value);
        break;
      case "badChunk":
        sharing.recheck(peer.id, digestOf(message.value.artifact), message.value.chunk);
        break;
      case "chunkRequest":
        peer.serve(message, digestOf(message.value.artifact));
        break;
      case "chunkCancel":
        peer.serve(message, "");
        break;
      case "chunkPart":
        peer.acceptPart(message.value);
        break;
      case "chunkRefusal":
        peer.refuse(message.value.requestId, message.value.reason);
        break;
      case "dataOffer":
        peer.acceptOffer(message.value);
        break;
      case "hello":
      case "dataRequest":
      case "peerList":
        throw new ProtocolError(`${message.$case} out of place`);
    }
  }

  #onInterest(peer: Peer, digest: string, interested: boolean): void {
    this.#options.sharing.setInterest(peer.id, digest, interested);
  }

  #onAvailability(peer: Peer, digest: string, what: Buffer | "all"): void {
    const { scheduler, sharing, manifests, schedule } = this.#options;
    if (what === "all" || what.length > 0) manifests.addHolder(digest, peer);
    const holding = (chunks: number): Bitfield | "all" => {
      peer.neighbour.tolerate(chunks / CHUNKS_A_MESSAGE);
      return what === "all" ? what : new Bitfield(chunks, what.length > 0 ? what : undefined);
    };
    fitting(() => {
      sharing.setHolding(peer.id, digest, holding);
      const chunks = scheduler.chunkCount(digest);
      if (chunks !== undefined) scheduler.setHolding(peer.id, digest, holding(chunks));
    });
    schedule();
  }

  #onHave(peer: Peer, digest: string, chunks: readonly number[]): void {
    const { scheduler, sharing, manifests, schedule } = this.#options;
    if (chunks.length > HAVE_MAX) throw new ProtocolError(`${chunks.length} chunks in one message`);
    manifests.addHolder(digest, peer);
    fitting(() => {
      sharing.addHave(peer.id, digest, chunks);
      scheduler.addHave(peer.id, digest, chunks);
    });
    schedule();
  }
}

/** Chunks that the artifact does not have break the protocol. */
function fitting(take: () => void): void {
  try {
    take();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ProtocolError("chunks that the artifact does not have", { cause: error });
  }
}

function digestOf(artifact: Buffer): string {
  try {
    return digestFromBytes(artifact);
  } catch (error) {
    if (error instanceof ManifestError) throw new ProtocolError(error.message, { cause: error });
    throw error;
  }
}
