import { MANIFEST_MAX_BYTES, type ManifestPart } from "@slipway/proto";
import { decodeManifest, digestToBytes } from "../store/manifest.js";
import type { Peer } from "./peer.js";

/** Bytes of a manifest in one message. */
export const MANIFEST_PART_BYTES = 256 * 1024;
const PART_MS = 5_000;
/** Somebody else is asked too when it is not here after so long … */
const NEXT_MS = 500;
/** … until so many are. */
const ASKED_MAX = 3;

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
    const asked = new Map<string, Promise<Buffer | undefined>>();
    const stop = new AbortController();
    try {
      for (;;) {
        signal.throwIfAborted();
        const peers = [...holders.values()].filter(({ id }) => !asked.has(id));
        const peer = peers[Math.floor(Math.random() * peers.length)];
        if (peer !== undefined && asked.size < ASKED_MAX) {
          const answer = this.#ask(peer, digest, holders, stop.signal);
          asked.set(
            peer.id,
            answer.finally(() => asked.delete(peer.id)),
          );
        }
        if (asked.size === 0) await this.#holder(digest, signal);
        else {
          const bytes = await firstWithin(NEXT_MS, [...asked.values()], signal);
          if (bytes !== undefined) return bytes;
        }
      }
    } finally {
      stop.abort();
      this.#holders.delete(digest);
    }
  }

  /** Undefined if it does not give it. Never rejects. */
  async #ask(
    peer: Peer,
    digest: string,
    holders: Map<string, Peer>,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    try {
      return await this.#fetchFrom(peer, digest, signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      if (holders.get(peer.id) === peer) holders.delete(peer.id);
      if (error instanceof WrongManifestError) this.#onLiar(peer, error);
      return undefined;
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
    for (let total: number | undefined; total === undefined || offset < total;) {
      const part = await this.#part(peer, digest, offset, signal);
      if (part.totalBytes === 0) throw new Error("the peer does not have the manifest");
      total ??= part.totalBytes;
      const fits = part.offset === offset && part.totalBytes === total;
      // Whole parts only: else it could be given a byte at a time, without end.
      const size = Math.min(MANIFEST_PART_BYTES, total - offset);
      if (!fits || part.data.length !== size || total > MANIFEST_MAX_BYTES) {
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
        signal.throwIfAborted();
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

/** The first that is not undefined, if one is within so long. Throws the signal's reason. */
async function firstWithin<T>(
  ms: number,
  answers: readonly Promise<T | undefined>[],
  signal: AbortSignal,
): Promise<T | undefined> {
  const stop = new AbortController();
  try {
    return await new Promise<T | undefined>((resolve, reject) => {
      signal.throwIfAborted();
      const timer = setTimeout(() => resolve(undefined), ms);
      stop.signal.addEventListener("abort", () => clearTimeout(timer));
      const giveUp = (): void => reject(signal.reason as Error);
      signal.addEventListener("abort", giveUp, { signal: stop.signal });
      for (const answer of answers) void answer.then(resolve, reject);
    });
  } finally {
    stop.abort();
  }
}

const key = (peer: string, digest: string): string => `${peer} ${digest}`;
