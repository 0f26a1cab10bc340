import type { Logger } from "pino";
import { digestHex, digestToBytes } from "../store/manifest.js";
import type { ArtifactWrite } from "../store/types.js";
import type { BufferPool } from "./buffers.js";
import { Dispatch } from "./dispatch.js";
import type { Control } from "./frames.js";
import type { Giver } from "./giver.js";
import { Inbox } from "./inbox.js";
import type { Library } from "./library.js";
import { ManifestFetcher } from "./manifest-fetcher.js";
import type { Peer, PeerEvents } from "./peer.js";
import { PRIORITY_RANK, type Priority } from "./priority.js";
import type { BoundRequest } from "./requests.js";
import { Scheduler } from "./scheduler.js";
import { Sharing } from "./sharing.js";
import type { StatsBook } from "./stats.js";
import { SwarmClosedError } from "./swarm-closed-error.js";
import { Transfer } from "./transfer.js";
import type { FetchOptions, FetchProgress, PartialArtifact, PartialShare } from "./types.js";

export interface ExchangeOptions {
  library: Library;
  buffers: BufferPool;
  stats: StatsBook;
  log: Logger;
  /** Of a seeder. */
  giver: Giver | undefined;
  maxDownloadBytesPerSecond: number | undefined;
  /** It sent wrong bytes: no connection with it for a while. */
  ban: (peer: Peer, why: string) => void;
  /** Its data connection ended: its process may have, too. */
  suspect: (peer: Peer) => void;
  /** See SwarmOptions. */
  onDamaged: (digest: string) => void;
}

/** Owns the fetches: begins them, hands what happens to the scheduler, and keeps what comes. */
export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #scheduler: Scheduler;
  readonly #sharing: Sharing;
  readonly #manifests: ManifestFetcher;
  readonly #inbox: Inbox;
  readonly #dispatch: Dispatch;
  readonly #transfers = new Map<string, Transfer>();
  readonly #priorities = new Map<string, Priority>();
  #closed = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const { library, giver, log, onDamaged, maxDownloadBytesPerSecond } = options;
    this.#scheduler = new Scheduler({
      downBytesPerSecond: maxDownloadBytesPerSecond ?? Infinity,
    });
    this.#sharing = new Sharing({
      library,
      giver,
      log,
      onDamaged,
      send: (id, message) => this.#peers.get(id)?.neighbour.send(message),
      holding: (id, artifact) => this.#scheduler.holding(id, artifact),
    });
    this.#manifests = new ManifestFetcher((peer, error) => options.ban(peer, error.message));
    this.#dispatch = new Dispatch({
      scheduler: this.#scheduler,
      peer: (id) => this.#peers.get(id),
      onTick: () => options.stats.scheduled(this.#scheduler.counters),
    });
    this.#inbox = new Inbox({
      scheduler: this.#scheduler,
      sharing: this.#sharing,
      manifests: this.#manifests,
      schedule: () => this.#dispatch.schedule(),
    });
  }

  /** How peers tell what came of requests. */
  readonly peerEvents: PeerEvents = {
    begins: (peer, requestId, chunk) =>
      this.#scheduler.begins(peer.id, requestId, chunk, performance.now()),
    onChunk: (peer, requestId, bytes, fallback) => this.#onChunk(peer, requestId, bytes, fallback),
    onRefusal: (peer, requestId, reason) => {
      this.#scheduler.refused(peer.id, requestId, reason, performance.now());
      this.#dispatch.schedule();
    },
    onProgress: (peer, bytes) => this.#scheduler.progress(peer.id, bytes, performance.now()),
    onLost: (peer, slow, error) => {
      this.#options.suspect(peer);
      this.#options.log.info(
        { err: error, peer: peer.membership.id, slow },
        "data connection lost",
      );
      this.#scheduler.dropRequests(peer.id);
      this.#scheduler.setSlow(peer.id, slow);
      this.#dispatch.schedule();
    },
    onUp: (peer) => {
      this.#scheduler.setSlow(peer.id, false);
      this.#dispatch.schedule();
    },
  };

  addPeer(peer: Peer): void {
    this.#peers.set(peer.id, peer);
    this.#scheduler.addPeer(peer.id, peer.seeder);
    for (const digest of this.#transfers.keys()) this.#askAbout(peer, digest);
  }

  removePeer(peer: Peer): void {
    if (this.#peers.get(peer.id) !== peer) return;
    this.#peers.delete(peer.id);
    this.#scheduler.removePeer(peer.id);
    this.#sharing.removePeer(peer.id);
    this.#manifests.removePeer(peer);
    this.#dispatch.schedule();
  }

  announce(digest: string): void {
    this.#sharing.announce(digest);
  }

  share(artifact: PartialArtifact): PartialShare {
    const { library } = this.#options;
    const { digest } = artifact;
    library.addWrite(artifact);
    this.announce(digest);
    let shared = true;
    return {
      chunk: (index) => this.#sharing.have(digest, index),
      end: () => {
        if (!shared) return;
        shared = false;
        library.removeWrite(digest);
        this.announce(digest);
      },
    };
  }

  async *fetch(digest: string, options: FetchOptions): AsyncGenerator<FetchProgress, void, void> {
    const { store, signal, priority = "normal" } = options;
    digestHex(digest);
    signal.throwIfAborted();
    for (let old = this.#transfers.get(digest); old?.stopping === true;) {
      await old.done.catch(() => undefined);
      old = this.#transfers.get(digest);
    }
    if (this.#closed) throw new SwarmClosedError("the swarm is closed");
    this.#raise(digest, priority);
    const transfer = this.#transfers.get(digest) ?? this.#begin(digest, store);
    transfer.users++;
    try {
      yield* transfer.watch(signal);
    } finally {
      if (--transfer.users === 0) {
        transfer.stop(new Error("nobody wants it any more"));
        await transfer.done.catch(() => undefined);
      }
    }
  }

  /** Throws ProtocolError if the message breaks the protocol. */
  accept(peer: Peer, message: Control): void {
    this.#inbox.accept(peer, message);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#dispatch.close();
    const transfers = [...this.#transfers.values()];
    for (const transfer of transfers) transfer.stop(new SwarmClosedError("the swarm is closed"));
    await Promise.allSettled(transfers.map((transfer) => transfer.done));
    this.#sharing.close();
  }

  /** The highest that anybody fetches it with counts. */
  #raise(digest: string, priority: Priority): void {
    const known = this.#priorities.get(digest);
    if (known !== undefined && PRIORITY_RANK[known] >= PRIORITY_RANK[priority]) return;
    this.#priorities.set(digest, priority);
    this.#scheduler.setPriority(digest, priority);
  }

  #begin(digest: string, store: FetchOptions["store"]): Transfer {
    const transfer = new Transfer(digest, store, {
      fetchManifest: async (wanted, signal) => {
        const fetched = this.#manifests.fetch(wanted, signal);
        for (const peer of this.#peers.values()) this.#askAbout(peer, wanted);
        return fetched;
      },
      begin: (begun, write, except) => this.#beginChunks(begun, write, except),
      found: (copied, chunk) => this.#onCopied(copied, chunk),
      missing: (wanted, chunk) => {
        this.#scheduler.want(wanted, chunk);
        this.#dispatch.schedule();
      },
      damaged: (damaged) => this.#sharing.damaged(damaged),
      end: (ended) => this.#endChunks(ended),
      completed: (completed) => this.announce(completed),
      onLocalBytes: (bytes) => this.#options.stats.local(bytes),
    });
    this.#transfers.set(digest, transfer);
    const forget = (): void => {
      this.#transfers.delete(digest);
      this.#priorities.delete(digest);
    };
    transfer.done.then(forget, forget);
    return transfer;
  }

  #beginChunks(transfer: Transfer, write: ArtifactWrite, except: ReadonlySet<number>): void {
    const { digest, manifest, have } = write;
    this.#options.library.addWrite(write);
    const priority = this.#priorities.get(digest) ?? "normal";
    this.#scheduler.addDownload(digest, manifest, have, { priority, except });
    this.#sharing.announce(digest);
    // Asked again where it was asked for the manifest: now the answers can be understood.
    for (const peer of this.#peers.values()) this.#askAbout(peer, transfer.digest);
    this.#dispatch.start();
  }

  #endChunks(digest: string): void {
    this.#dispatch.withdraw(this.#scheduler.removeDownload(digest));
    this.#options.library.removeWrite(digest);
    const value = { artifact: digestToBytes(digest), interested: false };
    for (const peer of this.#peers.values()) {
      peer.neighbour.send({ $case: "interest", value });
    }
    this.#options.stats.scheduled(this.#scheduler.counters);
    if (!this.#scheduler.active) this.#dispatch.rest();
  }

  #askAbout(peer: Peer, digest: string): void {
    const value = { artifact: digestToBytes(digest), interested: true };
    peer.neighbour.send({ $case: "interest", value });
  }

  #onChunk(peer: Peer, requestId: number, bytes: Buffer, fallback: boolean): void {
    const arrived = this.#scheduler.arrived(peer.id, requestId, performance.now());
    if (arrived === undefined) {
      this.#options.buffers.give(bytes);
      return;
    }
    this.#dispatch.withdraw(arrived.withdraw);
    this.#dispatch.schedule();
    void this.#keep(peer, arrived.request, bytes, fallback);
  }

  /** Verifies, then writes, then shares. Never rejects. */
  async #keep(peer: Peer, request: BoundRequest, bytes: Buffer, fallback: boolean): Promise<void> {
    const { stats, buffers } = this.#options;
    const { artifact: digest, chunk } = request;
    const transfer = this.#transfers.get(digest);
    try {
      if (transfer === undefined) return;
      if (!(await transfer.write.put(chunk, bytes))) {
        this.#scheduler.spoiled(request);
        stats.verifyFailed();
        // Chunks of the same peer may have been on their way to be verified when it was banned.
        if (this.#peers.get(peer.id) !== peer) return;
        const value = { artifact: digestToBytes(digest), chunk };
        peer.neighbour.send({ $case: "badChunk", value });
        this.#options.ban(peer, `wrong bytes for chunk ${chunk} of ${digest}`);
        return;
      }
      this.#scheduler.stored(request);
      transfer.count(chunk, peer.seeder ? "seeder" : "peer");
      stats.received(request.size, peer.seeder, fallback);
      this.#written(transfer, chunk);
    } catch (error) {
      this.#scheduler.spoiled(request);
      transfer?.fail(error);
    } finally {
      buffers.give(bytes);
      this.#dispatch.schedule();
    }
  }

  #onCopied(transfer: Transfer, chunk: number): void {
    this.#scheduler.found(transfer.digest, chunk);
    this.#options.stats.reused(transfer.count(chunk, "reuse"));
    this.#written(transfer, chunk);
    this.#dispatch.schedule();
  }

  #written(transfer: Transfer, chunk: number): void {
    this.#sharing.have(transfer.digest, chunk);
    transfer.arrived(chunk);
    if (this.#scheduler.isDone(transfer.digest)) transfer.finish();
  }
}
