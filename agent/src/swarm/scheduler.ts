import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import { Bitfield } from "../store/bitfield.js";
import { type Ask, Asking, type SchedulerPeer, type Withdraw } from "./asking.js";
import { type ChunkSizes, Download, type DownloadOptions, type Holding } from "./download.js";
import { OwnLink } from "./own-link.js";
import type { Priority } from "./priority.js";
import { RateMeter } from "./rate.js";
import { LIMITS } from "./request-limits.js";
import { type BoundRequest, isBound, PeerRequests, type Request } from "./requests.js";
import { TokenBucket } from "./token-bucket.js";

export interface SchedulerOptions {
  random?: () => number;
  /** Bytes asked for, a second; no limit unless told. */
  downBytesPerSecond?: number;
}

/**
 * The single owner of what is fetched from whom. Pure: it gets events and the time, and answers
 * with what to ask; it neither sends nor receives, so a simulation can drive it.
 */
export class Scheduler {
  readonly counters = { hedges: 0, timeouts: 0, duplicateBytes: 0 };
  readonly #peers = new Map<string, SchedulerPeer>();
  readonly #downloads = new Map<string, Download>();
  readonly #bucket: TokenBucket;
  readonly #asking: Asking;
  readonly #rate = new RateMeter(500);
  readonly #link = new OwnLink();
  /** To be told with the next that expire. */
  #withdrawn: Withdraw[] = [];
  #arrivedBytes = 0;

  constructor(options: SchedulerOptions = {}) {
    this.#bucket = new TokenBucket(options.downBytesPerSecond ?? Infinity);
    this.#asking = new Asking({
      peers: this.#peers,
      downloads: this.#downloads,
      bucket: this.#bucket,
      rate: this.#rate,
      link: this.#link,
      random: options.random ?? Math.random,
      onHedge: () => this.counters.hedges++,
    });
  }

  get active(): boolean {
    return this.#downloads.size > 0;
  }

  addPeer(id: string, seeder: boolean): void {
    this.removePeer(id);
    this.#peers.set(id, { id, seeder, requests: new PeerRequests(this.#link) });
  }

  removePeer(id: string): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.dropRequests(id);
    for (const download of this.#downloads.values()) {
      download.setHolding(id, undefined);
      download.nothingNew.delete(id);
    }
    this.#peers.delete(id);
  }

  /** What was asked of a neighbour won't come: its connection is gone. */
  dropRequests(id: string): void {
    const peer = this.#peers.get(id);
    for (const request of peer?.requests.open.values() ?? []) this.#giveUp(id, request);
    peer?.requests.forgetLapsed();
  }

  setSlow(id: string, slow: boolean): void {
    this.#peers.get(id)?.requests.setSlow(slow);
  }

  addDownload(digest: string, sizes: ChunkSizes, have: Bitfield, options?: DownloadOptions): void {
    this.#downloads.set(digest, new Download(digest, sizes, have, options));
  }

  /** Of what is asked from now on. */
  setPriority(digest: string, priority: Priority): void {
    const download = this.#downloads.get(digest);
    if (download !== undefined) download.priority = priority;
  }

  /** A chunk that was looked for on this host is written from a local copy. */
  found(digest: string, chunk: number): void {
    const download = this.#downloads.get(digest);
    if (download === undefined) return;
    download.local.delete(chunk);
    download.wanted.delete(chunk);
    this.#withdrawn.push(...this.#withdraw(download, chunk));
  }

  /** A chunk that was looked for on this host is not there. */
  want(digest: string, chunk: number): void {
    const download = this.#downloads.get(digest);
    if (download?.local.delete(chunk) === true) download.want(chunk);
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
        this.#drop(requests, request);
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

  /** What a neighbour is known to have of an artifact that is being fetched. */
  holding(id: string, digest: string): Holding | undefined {
    return this.#downloads.get(digest)?.holdings.get(id);
  }

  /** RangeError if the holding does not fit the artifact. */
  setHolding(id: string, digest: string, holding: Holding): void {
    if (this.#peers.has(id)) this.#downloads.get(digest)?.setHolding(id, holding);
  }

  /** RangeError if there is no such chunk. */
  addHave(id: string, digest: string, chunks: readonly number[]): void {
    const download = this.#downloads.get(digest);
    if (!this.#peers.has(id) || download === undefined) return;
    if (!download.holdings.has(id)) {
      download.setHolding(id, new Bitfield(download.sizes.chunkCount));
    }
    for (const chunk of chunks) download.addHolding(id, chunk);
  }

  /** The request a neighbour still owes, "old" for one that is no longer wanted, else undefined. */
  lookUp(id: string, requestId: number): Request | "old" | undefined {
    const requests = this.#peers.get(id)?.requests;
    return (
      requests?.open.get(requestId) ?? (requests?.knows(requestId) === true ? "old" : undefined)
    );
  }

  /** Bytes came in, of the chunk that began last or of one that is thrown away. */
  progress(id: string, bytes: number, now: number): void {
    this.#link.arrived(id, bytes, now);
    this.#peers.get(id)?.requests.progress(bytes, now);
  }

  /**
   * The size to expect of a chunk that begins to come in; it is known now what a request for any
   * brings. "old" if it is no longer wanted, undefined if it was never asked for so.
   */
  begins(id: string, requestId: number, chunk: number, now: number): number | "old" | undefined {
    this.#revive(id, requestId, chunk, now);
    const request = this.lookUp(id, requestId);
    if (typeof request !== "object") return request;
    const download = this.#downloads.get(request.artifact);
    if (download === undefined || chunk >= download.sizes.chunkCount) return undefined;
    if (request.chunk !== "any" && request.chunk !== chunk) return undefined;
    const size = download.sizes.sizeOf(chunk);
    if (!download.lacks(chunk)) {
      this.#giveUp(id, request);
      this.counters.duplicateBytes += size;
      return "old";
    }
    if (request.chunk === "any") this.#bind(id, request, download, chunk, now);
    this.#peers.get(id)?.requests.begins(request, now);
    this.#callOff(id, download, chunk);
    return size;
  }

  /** A chunk is whole, still to be verified; others need not send it any more. */
  arrived(
    id: string,
    requestId: number,
    now: number,
  ): { request: BoundRequest; withdraw: Withdraw[] } | undefined {
    this.#revive(id, requestId, undefined, now);
    const peer = this.#peers.get(id);
    const request = peer?.requests.open.get(requestId);
    if (peer === undefined || request === undefined || !isBound(request)) return undefined;
    peer.requests.remove(requestId);
    peer.requests.delivered(request, now);
    this.#rate.add(request.size, now);
    const download = this.#downloads.get(request.artifact);
    if (download === undefined) return undefined;
    const withdraw = this.#withdraw(download, request.chunk);
    download.arrived.add(request.chunk);
    this.#arrivedBytes += request.size;
    return { request, withdraw };
  }

  /** A chunk that arrived is verified and written. */
  stored(request: BoundRequest): void {
    if (this.#downloads.get(request.artifact)?.arrived.delete(request.chunk) === true) {
      this.#arrivedBytes -= request.size;
    }
  }

  /** A chunk that arrived is none: wanted again. */
  spoiled(request: BoundRequest): void {
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
    const download = this.#downloads.get(request.artifact);
    if (reason === Reason.BUSY) peer.requests.busy(now);
    else if (request.chunk === "any") download?.nothingNew.set(id, now);
    else download?.removeHolding(id, request.chunk);
  }

  /** Gives up what is late, and demotes those who are. */
  expire(now: number): Withdraw[] {
    const withdrawn = this.#withdrawn;
    this.#withdrawn = [];
    for (const [peer, { requests }] of this.#peers) {
      const overdue = requests.overdue(now);
      for (const request of overdue) {
        this.#giveUp(peer, request);
        requests.lapse(request);
        withdrawn.push({ peer, requestId: request.id });
      }
      this.counters.timeouts += overdue.length;
      if (overdue.length > 0) requests.demote(now);
    }
    return withdrawn;
  }

  /** What to ask now. */
  next(now: number): Ask[] {
    return this.#asking.next(now, LIMITS.budgetBytes - this.#arrivedBytes);
  }

  /** When there may be more to ask, even if nothing happens. */
  wakeAt(now: number): number | undefined {
    return this.active ? this.#asking.wakeAt(now) : undefined;
  }

  #giveUp(peer: string, request: Request): void {
    const requests = this.#peers.get(peer)?.requests;
    if (requests !== undefined) this.#drop(requests, request);
    if (isBound(request)) this.#downloads.get(request.artifact)?.unask(peer, request.chunk);
  }

  #drop(requests: PeerRequests, request: Request): void {
    requests.remove(request.id);
    this.#bucket.take(-request.size);
  }

  /** A request that was given up is owed again if its chunk comes in spite of that, and is lacked. */
  #revive(id: string, requestId: number, begins: number | undefined, now: number): void {
    const requests = this.#peers.get(id)?.requests;
    const request = requests?.lapsed(requestId);
    const download = this.#downloads.get(request?.artifact ?? "");
    if (requests === undefined || request === undefined || download === undefined) return;
    const chunk = request.chunk === "any" ? begins : request.chunk;
    if (chunk === undefined || !download.lacks(chunk)) return;
    const again = requests.find(download.digest, chunk);
    if (again !== undefined) this.#giveUp(id, again);
    if (again !== undefined) this.#withdrawn.push({ peer: id, requestId: again.id });
    requests.revive(request, now);
    this.#bucket.take(request.size);
    if (isBound(request)) download.ask(id, request.chunk);
  }

  #bind(id: string, request: Request, download: Download, chunk: number, now: number): void {
    const size = download.sizes.sizeOf(chunk);
    const requests = this.#peers.get(id)?.requests;
    const twice = requests?.find(download.digest, chunk);
    if (twice !== undefined) {
      this.#giveUp(id, twice);
      this.#withdrawn.push({ peer: id, requestId: twice.id });
    }
    this.#bucket.take(size - request.size);
    requests?.bind(request, chunk, size, now);
    download.ask(id, chunk);
  }

  /** One begins to send a chunk: others that have not need not. */
  #callOff(sender: string, download: Download, chunk: number): void {
    for (const peer of download.asked.get(chunk) ?? []) {
      if (peer === sender) continue;
      const request = this.#peers.get(peer)?.requests.find(download.digest, chunk);
      if (request === undefined || request.begun) continue;
      this.#giveUp(peer, request);
      this.#withdrawn.push({ peer, requestId: request.id });
    }
  }

  /** Nobody need send this chunk any more. */
  #withdraw(download: Download, chunk: number): Withdraw[] {
    const withdraw: Withdraw[] = [];
    for (const peer of download.asked.get(chunk) ?? []) {
      const requests = this.#peers.get(peer)?.requests;
      const request = requests?.find(download.digest, chunk);
      if (requests === undefined || request === undefined) continue;
      this.#drop(requests, request);
      withdraw.push({ peer, requestId: request.id });
    }
    download.asked.delete(chunk);
    return withdraw;
  }
}
