import { MANIFEST_MAX_BYTES, type ManifestPart } from "@slipway/proto";
import { decodeManifest, digestToBytes } from "../store/manifest.js";
import type { Peer } from "./peer.js";

/** Bytes of a manifest in one message. */
export const MANIFEST_PART_BYTES = 256 * 1024;
const PART_MS = 5_000;

/** Its bytes are not the manifest that was asked for. */
class WrongManifestError extends Error {
  override readonly name = "WrongManifestError";
}

interface Waiting {
  resolve: (part: ManifestPart) => void;
  reject: (error: Error) => void;
}

/** Gets manifests from neighbours, a part at a time. */
export class ManifestFetcher {
  /** Digest → neighbours that have something of it, and so its manifest. */
  readonly #holders = new Map<string, Map<string, Peer>>();
  readonly #waiting = new Map<string, Waiting>();
  /** Digest → wakes the one that waits for a holder. */
  readonly #lookers = new Map<string, () => void>();
  readonly #onLiar: (peer: Peer, error: Error) => void;

  constructor(onLiar: (peer: Peer, error: Error) => void) {
    this.#onLiar = onLiar;
  }

  wants(digest: string): boolean {
    return this.#holders.has(digest);
  }

  addHolder(digest: string, peer: Peer): void {
    this.#holders.get(digest)?.set(peer.id, peer);
    this.#lookers.get(digest)?.();
  }

  removePeer(peer: Peer): void {
    for (const [digest, holders] of this.#holders) {
      if (holders.get(peer.id) !== peer) continue;
      holders.delete(peer.id);
      this.#waiting.get(key(peer.id, digest))?.reject(new Error("the peer left"));
    }
  }

  /** An unexpected part is ignored. */
  accept(peer: Peer, digest: string, part: ManifestPart): void {
    this.#waiting.get(key(peer.id, digest))?.resolve(part);
  }

  /** Waits for somebody who has it, and throws only the signal's reason. */
  async fetch(digest: string, signal: AbortSignal): Promise<Buffer> {
    const holders = new Map<string, Peer>();
    this.#holders.set(digest, holders);
    try {
      for (;;) {
        const peers = [...holders.values()];
        const peer = peers[Math.floor(Math.random() * peers.length)];
        if (peer === undefined) {
          await this.#holder(digest, signal);
          continue;
        }
        try {
          return await this.#fetchFrom(peer, digest, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (holders.get(peer.id) === peer) holders.delete(peer.id);
          if (error instanceof WrongManifestError) this.#onLiar(peer, error);
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      this.#holders.delete(digest);
    }
  }

  /** Waits until somebody says that it has something of it. Throws the signal's reason. */
  async #holder(digest: string, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    try {
      await new Promise<void>((resolve, reject) => {
        signal.throwIfAborted();
        this.#lookers.set(digest, resolve);
        const giveUp = (): void => reject(signal.reason as Error);
        signal.addEventListener("abort", giveUp, { signal: stop.signal });
      });
    } finally {
      stop.abort();
      this.#lookers.delete(digest);
    }
  }

  async #fetchFrom(peer: Peer, digest: string, signal: AbortSignal): Promise<Buffer> {
    const parts: Buffer[] = [];
    let offset = 0;
    for (let total = 1; offset < total;) {
      const part = await this.#part(peer, digest, offset, signal);
      total = part.totalBytes;
      if (total === 0) throw new Error("the peer does not have the manifest");
      const fits = part.offset === offset && part.data.length > 0;
      if (!fits || offset + part.data.length > total || total > MANIFEST_MAX_BYTES) {
        throw new WrongManifestError("a manifest part that does not fit");
      }
      parts.push(part.data);
      offset += part.data.length;
    }
    const bytes = Buffer.concat(parts);
    try {
      decodeManifest(bytes, digest);
    } catch (error) {
      throw new WrongManifestError("another manifest", { cause: error });
    }
    return bytes;
  }

  async #part(
    peer: Peer,
    digest: string,
    offset: number,
    signal: AbortSignal,
  ): Promise<ManifestPart> {
    const id = key(peer.id, digest);
    const cleanUp: (() => void)[] = [];
    try {
      return await new Promise<ManifestPart>((resolve, reject) => {
        const giveUp = (): void => reject(new Error("no answer"));
        const timer = setTimeout(giveUp, PART_MS);
        signal.addEventListener("abort", giveUp);
        cleanUp.push(
          () => clearTimeout(timer),
          () => signal.removeEventListener("abort", giveUp),
        );
        this.#waiting.set(id, { resolve, reject });
        const artifact = digestToBytes(digest);
        peer.neighbour.send({ $case: "manifestRequest", value: { artifact, offset } });
      });
    } finally {
      for (const undo of cleanUp) undo();
      this.#waiting.delete(id);
    }
  }
}

const key = (peer: string, digest: string): string => `${peer} ${digest}`;
