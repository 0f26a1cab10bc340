import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { Bitfield } from "../store/bitfield.js";
import { type ChunkSizes, Download, type Holding } from "./download.js";
import { pickChunk } from "./picker.js";
import { LIMITS, PeerRequests, type Request } from "./requests.js";

/** Ask a neighbour for a chunk. */
export interface Ask {
  peer: string;
  request: Request;
}

/** Tell a neighbour not to send a chunk any more. */
export interface Withdraw {
  peer: string;
  requestId: number;
}

interface Peer {
  id: string;
  seeder: boolean;
  requests: PeerRequests;
}

/** At the end, so many chunks may be asked of a second neighbour; and no sooner than this. */
const HEDGED_CHUNKS = 32;
const HEDGE_MIN_MS = 250;
/** So long it waits for others to come by their share, before it asks a seeder for that too. */
const PATIENCE_MS = 250;

/**
 * The single owner of what is fetched from whom. Pure: it gets events and the time, and answers
 * with what to ask; it neither sends nor receives, so a simulation can drive it.
 */
export class Scheduler {
  readonly counters = { hedges: 0, timeouts: 0 };
  readonly #peers = new Map<string, Peer>();
  readonly #downloads = new Map<string, Download>();
  readonly #random: () => number;
  readonly #self: string;
  #arrivedBytes = 0;

  /** `self` is this peer's id among the others'. */
  constructor(self: string, random: () => number = Math.random) {
    this.#self = self;
    this.#random = random;
  }

  get active(): boolean {
    return this.#downloads.size > 0;
  }

  addPeer(id: string, seeder: boolean): void {
    this.removePeer(id);
    this.#peers.set(id, { id, seeder, requests: new PeerRequests() });
  }

  /** A neighbour fetches this artifact too, or no longer. */
  setFetching(id: string, digest: string, fetching: boolean): void {
    const fetchers = this.#downloads.get(digest)?.fetchers;
    if (fetching && this.#peers.get(id)?.seeder === false) fetchers?.add(id);
    else fetchers?.delete(id);
  }

  removePeer(id: string): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.dropRequests(id);
    for (const download of this.#downloads.values()) {
      download.setHolding(id, undefined);
      download.fetchers.delete(id);
    }
    this.#peers.delete(id);
  }

  /** What was asked of a neighbour won't come: its connection is gone. */
  dropRequests(id: string): void {
    const peer = this.#peers.get(id);
    for (const request of peer?.requests.open.values() ?? []) this.#giveUp(id, request);
  }

  setSlow(id: string, slow: boolean): void {
    this.#peers.get(id)?.requests.setSlow(slow);
  }

  addDownload(digest: string, sizes: ChunkSizes, have: Bitfield): void {
    this.#downloads.set(digest, new Download(digest, sizes, have));
  }

  removeDownload(digest: string): Withdraw[] {
    const download = this.#downloads.get(digest);
    if (download === undefined) return [];
    this.#downloads.delete(digest);
    for (const chunk of download.arrived) this.#arrivedBytes -= download.sizes.sizeOf(chunk);
    const withdrawn: Withdraw[] = [];
    for (const [peer, { requests }] of this.#peers) {
      for (const request of requests.open.values()) {
        if (request.artifact !== digest) continue;
        requests.remove(request.id);
        withdrawn.push({ peer, requestId: request.id });
      }
    }
    return withdrawn;
  }

  /** Undefined if it is not being fetched. */
  chunkCount(digest: string): number | undefined {
    return this.#downloads.get(digest)?.sizes.chunkCount;
  }

  isDone(digest: string): boolean {
    return this.#downloads.get(digest)?.done ?? false;
  }

  /** RangeError if the holding does not fit the artifact. */
  setHolding(id: string, digest: string, holding: Holding): void {
    if (this.#peers.has(id)) this.#downloads.get(digest)?.setHolding(id, holding);
  }

  /** RangeError if there is no such chunk. */
  addHave(id: string, digest: string, chunks: readonly number[], now: number): void {
    const download = this.#downloads.get(digest);
    if (!this.#peers.has(id) || download === undefined) return;
    if (!download.holdings.has(id)) {
      download.setHolding(id, new Bitfield(download.sizes.chunkCount));
    }
    for (const chunk of chunks) {
      download.addHolding(id, chunk);
      if (download.wanted.has(chunk)) download.news.add(download.sizes.sizeOf(chunk), now);
    }
  }

  /** The request a neighbour still owes, "old" for one that is no longer wanted, else undefined. */
  lookUp(id: string, requestId: number): Request | "old" | undefined {
    const requests = this.#peers.get(id)?.requests;
    return (
      requests?.open.get(requestId) ?? (requests?.knows(requestId) === true ? "old" : undefined)
    );
  }

  isSeeder(id: string): boolean {
    return this.#peers.get(id)?.seeder ?? false;
  }

  /** Bytes of a chunk came in. */
  progress(id: string, now: number): void {
    this.#peers.get(id)?.requests.progress(now);
  }

  /** A chunk is whole, still to be verified; others need not send it any more. */
  arrived(
    id: string,
    requestId: number,
    now: number,
  ): { request: Request; withdraw: Withdraw[] } | undefined {
    const peer = this.#peers.get(id);
    const request = peer?.requests.remove(requestId);
    if (peer === undefined || request === undefined) return undefined;
    peer.requests.delivered(request, now);
    const download = this.#downloads.get(request.artifact);
    if (download === undefined) return undefined;
    const withdraw: Withdraw[] = [];
    for (const other of download.asked.get(request.chunk) ?? []) {
      const duplicate = this.#openRequest(other, request);
      if (duplicate === undefined) continue;
      this.#peers.get(other)?.requests.remove(duplicate.id);
      withdraw.push({ peer: other, requestId: duplicate.id });
    }
    download.asked.delete(request.chunk);
    download.arrived.add(request.chunk);
    this.#arrivedBytes += request.size;
    return { request, withdraw };
  }

  /** A chunk that arrived is verified and written. */
  stored(request: Request): void {
    if (this.#downloads.get(request.artifact)?.arrived.delete(request.chunk) === true) {
      this.#arrivedBytes -= request.size;
    }
  }

  /** A chunk that arrived is none: wanted again. */
  spoiled(request: Request): void {
    const download = this.#downloads.get(request.artifact);
    if (download?.arrived.delete(request.chunk) !== true) return;
    this.#arrivedBytes -= request.size;
    download.want(request.chunk);
  }

  refused(id: string, requestId: number, reason: Reason, now: number): void {
    const peer = this.#peers.get(id);
    const request = peer?.requests.open.get(requestId);
    if (peer === undefined || request === undefined) return;
    this.#giveUp(id, request);
    if (reason === Reason.BUSY) {
      peer.requests.busy(now);
      return;
    }
    const download = this.#downloads.get(request.artifact);
    const holding = download?.holdings.get(id);
    if (download === undefined || holding === undefined) return;
    const rest = new Bitfield(download.sizes.chunkCount);
    for (let chunk = 0; chunk < rest.size; chunk++) {
      if (chunk !== request.chunk && download.hasChunk(id, chunk)) rest.set(chunk);
    }
    download.setHolding(id, rest);
  }

  /** Gives up what is late, and demotes those who are. */
  expire(now: number): Withdraw[] {
    const withdrawn: Withdraw[] = [];
    for (const [peer, { requests }] of this.#peers) {
      const overdue = requests.overdue(now);
      for (const request of overdue) {
        this.#giveUp(peer, request);
        withdrawn.push({ peer, requestId: request.id });
      }
      this.counters.timeouts += overdue.length;
      if (overdue.length > 0) requests.demote(now);
    }
    return withdrawn;
  }

  /** What to ask now. */
  next(now: number): Ask[] {
    const asks: Ask[] = [];
    let budget = LIMITS.budgetBytes - this.#arrivedBytes;
    for (const { requests } of this.#peers.values()) budget -= requests.outstandingBytes;
    const peers = this.#inOrder(now);
    for (let asked = true; asked && budget > 0;) {
      asked = false;
      // One chunk a round for each, so that no one's window takes all of a small artifact.
      for (const peer of peers) {
        if (budget <= 0 || !peer.requests.hasRoom(now)) continue;
        const ask = this.#choose(peer, now);
        if (ask === undefined) continue;
        asks.push(ask);
        budget -= ask.request.size;
        asked = true;
      }
    }
    return asks;
  }

  /** Peers before seeders, the demoted last. */
  #inOrder(now: number): Peer[] {
    const order = (peer: Peer): number =>
      (peer.requests.demoted(now) ? 2 : 0) + (peer.seeder ? 1 : 0);
    return [...this.#peers.values()].sort((a, b) => order(a) - order(b));
  }

  #choose(peer: Peer, now: number): Ask | undefined {
    for (const download of this.#downloads.values()) {
      if (!download.holdings.has(peer.id)) continue;
      const chunk = this.#pick(peer, download, now) ?? this.#hedge(peer, download, now);
      if (chunk === undefined) continue;
      const size = download.sizes.sizeOf(chunk);
      download.ask(peer.id, chunk);
      return { peer: peer.id, request: peer.requests.add(download.digest, chunk, size, now) };
    }
    return undefined;
  }

  #pick(peer: Peer, download: Download, now: number): number | undefined {
    if (download.wanted.size === 0) return undefined;
    const healthy = [...this.#peers.values()].filter(
      (other) => download.holdings.has(other.id) && !other.requests.demoted(now),
    );
    const healthyPeers = healthy.filter((other) => !other.seeder);
    const demoted = peer.requests.demoted(now);
    const share = this.#share(download);
    const chunk = pickChunk({
      wanted: download.wanted,
      holders: download.holders,
      peersHave: (chunk) => healthyPeers.some(({ id }) => download.hasChunk(id, chunk)),
      // Of somebody demoted, only what nobody better has.
      has: (chunk) =>
        download.hasChunk(peer.id, chunk) &&
        !(demoted && healthy.some(({ id }) => download.hasChunk(id, chunk))),
      seeder: peer.seeder,
      othersToo: this.#othersAreSlow(peer, download, now),
      share,
      random: this.#random,
    });
    const own = chunk !== undefined && chunk % share.of === share.rank;
    if (own && peer.seeder) download.ownShareAt = now;
    return chunk;
  }

  /** End game: a chunk that somebody owes for longer than it should take. */
  #hedge(peer: Peer, download: Download, now: number): number | undefined {
    if (download.wanted.size > 0 || download.asked.size > HEDGED_CHUNKS) return undefined;
    if (peer.requests.demoted(now)) return undefined;
    for (const [chunk, [owing, ...more]] of download.asked) {
      if (owing === undefined || owing === peer.id || more.length > 0) continue;
      if (!download.hasChunk(peer.id, chunk)) continue;
      const requests = this.#peers.get(owing)?.requests;
      const request = [...(requests?.open.values() ?? [])].find(
        (open) => open.artifact === download.digest && open.chunk === chunk,
      );
      if (requests === undefined || request === undefined) continue;
      const expected = Math.max(HEDGE_MIN_MS, (requests.expectedMs() ?? 1_000) * 2);
      if (now - request.askedAt < expected) continue;
      this.counters.hedges++;
      return chunk;
    }
    return undefined;
  }

  /**
   * What others fetch they will share: to ask a seeder for it too is worth it only if they come by
   * it more slowly than this peer would.
   */
  #othersAreSlow(seeder: Peer, download: Download, now: number): boolean {
    if (download.fetchers.size === 0) return true;
    if (now - download.ownShareAt < PATIENCE_MS) return false;
    return download.news.read(now) * 2 < (seeder.requests.rate.value ?? Infinity);
  }

  /** This peer's place among those that fetch the artifact, as far as it knows them. */
  #share(download: Download): { rank: number; of: number } {
    let rank = 0;
    let of = 1;
    for (const id of download.fetchers) {
      of++;
      if (id < this.#self) rank++;
    }
    return { rank, of };
  }

  #giveUp(peer: string, request: Request): void {
    this.#peers.get(peer)?.requests.remove(request.id);
    this.#downloads.get(request.artifact)?.unask(peer, request.chunk);
  }

  #openRequest(peer: string, like: Request): Request | undefined {
    for (const request of this.#peers.get(peer)?.requests.open.values() ?? []) {
      if (request.artifact === like.artifact && request.chunk === like.chunk) return request;
    }
    return undefined;
  }
}
