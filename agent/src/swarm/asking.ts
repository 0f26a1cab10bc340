import type { Download } from "./download.js";
import { pickChunk } from "./picker.js";
import { PRIORITY_RANK, type Wanted } from "./priority.js";
import type { PeerRequests, Request } from "./requests.js";
import type { TokenBucket } from "./token-bucket.js";

/** Ask a neighbour for a chunk. */
export interface Ask {
  peer: string;
  request: Request;
}

/** A neighbour, as the scheduler sees it. */
export interface SchedulerPeer {
  id: string;
  seeder: boolean;
  requests: PeerRequests;
}

export interface AskingOptions {
  self: string;
  peers: ReadonlyMap<string, SchedulerPeer>;
  downloads: ReadonlyMap<string, Download>;
  bucket: TokenBucket;
  random: () => number;
  /** Ask seeders for any chunk, rather than for this peer's share by number. */
  anyOfSeeders: boolean;
  onHedge: () => void;
}

/** At the end, so many chunks may be asked of a second neighbour; and no sooner than this. */
const HEDGED_CHUNKS = 32;
const HEDGE_MIN_MS = 250;
/** So long it waits for others to come by their share, before it asks a seeder for that too. */
const PATIENCE_MS = 250;
/** So long a seeder that has nothing new is not asked for any chunk again. */
const NOTHING_NEW_MS = 1_000;

/** Decides what to ask of whom next. */
export class Asking {
  readonly #options: AskingOptions;

  constructor(options: AskingOptions) {
    this.#options = options;
  }

  /** Asks while there is room for more bytes that were asked for or are not yet written. */
  next(now: number, budget: number): Ask[] {
    const asks: Ask[] = [];
    const { bucket } = this.#options;
    const peers = this.#inOrder(now);
    const downloads = [...this.#options.downloads.values()].sort(
      (a, b) => PRIORITY_RANK[b.priority] - PRIORITY_RANK[a.priority],
    );
    let room = budget;
    for (const { requests } of peers) room -= requests.outstandingBytes;
    for (let asked = true; asked;) {
      asked = false;
      // One chunk a round for each, so that no one's window takes all of a small artifact.
      for (const peer of peers) {
        if (room <= 0 || !bucket.open(now)) return asks;
        const ask = peer.requests.hasRoom(now) && this.#choose(peer, downloads, now);
        if (!ask) continue;
        asks.push(ask);
        bucket.take(ask.request.size);
        room -= ask.request.size;
        asked = true;
      }
    }
    return asks;
  }

  /** Peers before seeders, the demoted last. */
  #inOrder(now: number): SchedulerPeer[] {
    const order = (peer: SchedulerPeer): number =>
      (peer.requests.demoted(now) ? 2 : 0) + (peer.seeder ? 1 : 0);
    return [...this.#options.peers.values()].sort((a, b) => order(a) - order(b));
  }

  #choose(peer: SchedulerPeer, downloads: readonly Download[], now: number): Ask | undefined {
    for (const download of downloads) {
      if (!download.holdings.has(peer.id)) continue;
      const wanted: Wanted | undefined = this.#givesAny(peer, download, now)
        ? this.#any(peer, download)
        : (this.#pick(peer, download, now) ?? this.#hedge(peer, download, now));
      if (wanted === undefined) continue;
      const size = wanted === "any" ? download.meanBytes : download.sizes.sizeOf(wanted);
      if (wanted !== "any") download.ask(peer.id, wanted);
      const { digest: artifact, priority } = download;
      const request = peer.requests.add({ artifact, chunk: wanted, priority, size }, now);
      return { peer: peer.id, request };
    }
    return undefined;
  }

  /** A seeder gives what it likes, until it has nothing new. */
  #givesAny(peer: SchedulerPeer, download: Download, now: number): boolean {
    if (!this.#options.anyOfSeeders || !peer.seeder || peer.requests.demoted(now)) return false;
    if (download.holdings.get(peer.id) !== "all") return false;
    // It would give what is being looked for on this host too.
    if (download.local.size > 0) return false;
    return now - (download.nothingNew.get(peer.id) ?? -Infinity) >= NOTHING_NEW_MS;
  }

  #any(peer: SchedulerPeer, download: Download): "any" | undefined {
    let open = 0;
    for (const { artifact, chunk } of peer.requests.open.values()) {
      if (artifact === download.digest && chunk === "any") open++;
    }
    return open < download.wanted.size ? "any" : undefined;
  }

  #pick(peer: SchedulerPeer, download: Download, now: number): number | undefined {
    if (download.wanted.size === 0) return undefined;
    const healthy = [...this.#options.peers.values()].filter(
      (other) => download.holdings.has(other.id) && !other.requests.demoted(now),
    );
    const healthyPeers = healthy.filter((other) => !other.seeder);
    const demoted = peer.requests.demoted(now);
    const share = this.#share(download);
    const chunk = pickChunk({
      wanted: download.wanted,
      holders: download.holders,
      peersHave: (held) => healthyPeers.some(({ id }) => download.hasChunk(id, held)),
      // Of somebody demoted, only what nobody better has.
      has: (held) =>
        download.hasChunk(peer.id, held) &&
        !(demoted && healthy.some(({ id }) => download.hasChunk(id, held))),
      seeder: peer.seeder,
      othersToo: this.#othersAreSlow(peer, download, now),
      share,
      random: this.#options.random,
    });
    const own = chunk !== undefined && chunk % share.of === share.rank;
    if (own && peer.seeder) download.ownShareAt = now;
    return chunk;
  }

  /** End game: a chunk that somebody owes for longer than it should take. */
  #hedge(peer: SchedulerPeer, download: Download, now: number): number | undefined {
    if (download.wanted.size > 0 || download.asked.size > HEDGED_CHUNKS) return undefined;
    if (peer.requests.demoted(now)) return undefined;
    for (const [chunk, [owing, ...more]] of download.asked) {
      if (owing === undefined || owing === peer.id || more.length > 0) continue;
      if (!download.hasChunk(peer.id, chunk)) continue;
      const requests = this.#options.peers.get(owing)?.requests;
      const request = requests?.find(download.digest, chunk);
      if (requests === undefined || request === undefined) continue;
      const expected = Math.max(HEDGE_MIN_MS, (requests.expectedMs() ?? 1_000) * 2);
      if (now - request.askedAt < expected) continue;
      this.#options.onHedge();
      return chunk;
    }
    return undefined;
  }

  /**
   * What others fetch they will share: to ask a seeder for it too is worth it only if they come by
   * it more slowly than this peer would.
   */
  #othersAreSlow(seeder: SchedulerPeer, download: Download, now: number): boolean {
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
      if (id < this.#options.self) rank++;
    }
    return { rank, of };
  }
}
