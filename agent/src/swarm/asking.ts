import type { Download } from "./download.js";
import type { OwnLink } from "./own-link.js";
import { pickChunk } from "./picker.js";
import { PRIORITY_RANK, type Wanted } from "./priority.js";
import type { RateMeter } from "./rate.js";
import { LIMITS } from "./request-limits.js";
import type { PeerRequests, Request } from "./requests.js";
import type { TokenBucket } from "./token-bucket.js";

/** Ask a neighbour for a chunk. */
export interface Ask {
  peer: string;
  request: Request;
}

/** A neighbour need not send a chunk any more. */
export interface Withdraw {
  peer: string;
  requestId: number;
}

/** A neighbour, as the scheduler sees it. */
export interface SchedulerPeer {
  id: string;
  seeder: boolean;
  requests: PeerRequests;
}

export interface AskingOptions {
  peers: ReadonlyMap<string, SchedulerPeer>;
  downloads: ReadonlyMap<string, Download>;
  bucket: TokenBucket;
  /** Bytes that arrive. */
  rate: RateMeter;
  link: OwnLink;
  random: () => number;
  onHedge: () => void;
}

/** What is left to ask in one go. */
interface Round {
  now: number;
  asks: Ask[];
  /** Bytes within the budget. */
  room: number;
  /** Bytes by number. */
  ahead: number;
  /** Bytes of any chunk: none that this host's own link has no room for. */
  any: number;
  /** What a peer delivers on average, in bytes a second; undefined before anybody did. */
  rate: number | undefined;
}

/** Decides what to ask of whom next. */
export class Asking {
  readonly #options: AskingOptions;
  /** Since when there was room for more than peers have to give. */
  #starvingSince: number | undefined;

  constructor(options: AskingOptions) {
    this.#options = options;
  }

  /** Asks while there is room for more bytes that were asked for or are not yet written. */
  next(now: number, budget: number): Ask[] {
    const chunk = this.#chunkBytes();
    const ahead = this.#aheadBytes(chunk, now);
    const any = Math.max(chunk, this.#options.link.carries(LIMITS.carryMs));
    const round: Round = { now, asks: [], room: budget, ahead, any, rate: this.#meanRate() };
    for (const { requests } of this.#options.peers.values()) {
      round.room -= requests.outstandingBytes;
      round.any -= requests.outstandingBytes;
      round.ahead -= requests.numberedBytes - requests.lateBytes(now);
    }
    for (const download of this.#inOrder()) {
      this.#askForAny(download, round);
      this.#askByNumber(download, round);
    }
    this.#starvingSince = round.ahead > 0 ? (this.#starvingSince ?? now) : undefined;
    return round.asks;
  }

  /** When there may be more to ask, even if nothing happens. */
  wakeAt(now: number): number | undefined {
    let at = this.#options.bucket.openAt(now);
    if (at <= now) at = Infinity;
    for (const { requests } of this.#options.peers.values()) {
      if (requests.pausedUntil > now) at = Math.min(at, requests.pausedUntil);
    }
    const patientUntil = (this.#starvingSince ?? -Infinity) + LIMITS.patienceMs;
    if (patientUntil > now) at = Math.min(at, patientUntil);
    return at === Infinity ? undefined : at;
  }

  #inOrder(): Download[] {
    return [...this.#options.downloads.values()].sort(
      (a, b) => PRIORITY_RANK[b.priority] - PRIORITY_RANK[a.priority],
    );
  }

  #chunkBytes(): number {
    let chunk = 0;
    for (const { meanBytes } of this.#options.downloads.values())
      chunk = Math.max(chunk, meanBytes);
    return chunk;
  }

  #aheadBytes(chunk: number, now: number): number {
    const { rate, link } = this.#options;
    const arriving = (rate.read(now) * LIMITS.aheadMs) / 1_000;
    const carried = Math.max(LIMITS.carryMinChunks * chunk, link.carries(LIMITS.carryMs));
    return Math.max(Math.min(LIMITS.aheadMinChunks * chunk, carried), arriving);
  }

  #isOver(round: Round): boolean {
    return round.room <= 0 || !this.#options.bucket.open(round.now);
  }

  #ask(peer: SchedulerPeer, download: Download, chunk: Wanted, round: Round): void {
    const size = chunk === "any" ? download.meanBytes : download.sizes.sizeOf(chunk);
    if (chunk !== "any") {
      download.ask(peer.id, chunk);
      round.ahead -= size;
    }
    const { digest: artifact, priority } = download;
    const wanted = { artifact, chunk, priority, size };
    const request = peer.requests.add(wanted, round.now, round.rate);
    round.asks.push({ peer: peer.id, request });
    round.room -= size;
    round.any -= size;
    this.#options.bucket.take(size);
  }

  /** A seeder gives what it likes, until it has nothing new. */
  #givesAny(peer: SchedulerPeer, download: Download, now: number): boolean {
    if (!peer.seeder || peer.requests.demoted(now)) return false;
    if (download.holdings.get(peer.id) !== "all") return false;
    // It would give what is being looked for on this host too.
    if (download.local.size > 0) return false;
    return now - (download.nothingNew.get(peer.id) ?? -Infinity) >= LIMITS.nothingNewMs;
  }

  #askForAny(download: Download, round: Round): void {
    for (const peer of this.#options.peers.values()) {
      if (!this.#givesAny(peer, download, round.now)) continue;
      let open = peer.requests.anyOf(download.digest);
      // It may bring what others are asked for by number: one chunk, until its speed is known.
      const most = peer.requests.rate.value === undefined ? 1 : download.wanted.size;
      for (
        ;
        open < most && open < download.wanted.size && peer.requests.hasRoom(round.now);
        open++
      ) {
        if (round.any <= 0 || this.#isOver(round)) return;
        this.#ask(peer, download, "any", round);
      }
    }
  }

  #askByNumber(download: Download, round: Round): void {
    const left = this.#givers(download, round);
    while (round.ahead > 0 && left.length > 0 && !this.#isOver(round)) {
      const place = this.#soonest(left, download.meanBytes);
      const giver = left[place];
      if (giver === undefined) return;
      const { peer } = giver;
      const chunk = peer.requests.hasRoomByNumber(round.now)
        ? this.#pick(giver, download, round)
        : undefined;
      if (chunk === undefined) left.splice(place, 1);
      else this.#ask(peer, download, chunk, round);
    }
  }

  /** Whom to ask by number; of the poor, only what nobody better has. */
  #givers(download: Download, { now, rate }: Round): Giver[] {
    const { peers } = this.#options;
    const patient = now - (this.#starvingSince ?? now) < LIMITS.patienceMs;
    const givers: Giver[] = [];
    for (const id of download.holdings.keys()) {
      const peer = peers.get(id);
      if (peer === undefined) continue;
      const own = peer.requests.rate.value ?? Infinity;
      const slow = !peer.seeder && own * POOR_FACTOR < (rate ?? 0);
      givers.push({ peer, poor: slow || isPoor(peer, now), last: peer.seeder });
    }
    const better = givers.filter(({ poor }) => !poor);
    return givers
      .filter(
        ({ peer, last }) =>
          peer.requests.hasRoomByNumber(now) &&
          !(last && (patient || this.#givesAny(peer, download, now))),
      )
      .map((giver) => (giver.poor ? { ...giver, better } : giver));
  }

  #meanRate(): number | undefined {
    let rates = 0;
    let known = 0;
    for (const { seeder, requests } of this.#options.peers.values()) {
      if (seeder || requests.rate.value === undefined) continue;
      rates += requests.rate.value;
      known++;
    }
    return known === 0 ? undefined : rates / known;
  }

  /** The place of who should deliver one more chunk soonest; the poor and seeders only after others. */
  #soonest(givers: readonly Giver[], bytes: number): number {
    let best = -1;
    let bestWait = Infinity;
    let ties = 0;
    for (const [place, { peer, poor, last }] of givers.entries()) {
      const wait = peer.requests.waitMs(bytes) + (poor ? 2e9 : 0) + (last ? 1e9 : 0);
      if (wait > bestWait) continue;
      ties = wait < bestWait ? 1 : ties + 1;
      bestWait = wait;
      if (ties === 1 || this.#options.random() * ties < 1) best = place;
    }
    return best;
  }

  #pick({ peer, better }: Giver, download: Download, round: Round): number | undefined {
    const { wanted, holders } = download;
    const held = download.holdings.get(peer.id);
    if (held === undefined) return undefined;
    const mayAsk = (chunk: number): boolean =>
      better?.some((giver) => download.hasChunk(giver.peer.id, chunk)) !== true;
    if (wanted.size === 0) return this.#hedge(peer, download, round.now, mayAsk);
    const { random } = this.#options;
    if (better === undefined) {
      if (download.exhausted.has(peer.id)) return undefined;
      const chunk = pickChunk({ wanted, held, holders, random });
      if (chunk === undefined) download.exhausted.add(peer.id);
      return chunk;
    }
    return pickChunk({ wanted, held, holders, random, mayAsk });
  }

  /** End game: a chunk that all who owe it are late with. */
  #hedge(
    peer: SchedulerPeer,
    download: Download,
    now: number,
    mayAsk: (chunk: number) => boolean,
  ): number | undefined {
    if (download.asked.size > LIMITS.hedgedChunks || peer.requests.demoted(now)) return undefined;
    for (const [chunk, owers] of download.asked) {
      if (owers.includes(peer.id) || owers.length >= LIMITS.hedgeOwers) continue;
      if (!download.hasChunk(peer.id, chunk) || !mayAsk(chunk)) continue;
      if (!owers.every((ower) => this.#isLate(ower, download, chunk, now))) continue;
      this.#options.onHedge();
      return chunk;
    }
    return undefined;
  }

  #isLate(ower: string, { digest }: Download, chunk: number, now: number): boolean {
    const requests = this.#options.peers.get(ower)?.requests;
    const request = requests?.find(digest, chunk);
    return request === undefined || requests?.isLate(request, now) !== false;
  }
}

/** It has to prove itself again, or owes what should be here. */
function isPoor({ requests }: SchedulerPeer, now: number): boolean {
  return requests.demoted(now) || requests.lateBytes(now) > 0;
}

/** One that is so many times slower than others on average is poor. */
const POOR_FACTOR = 5;

interface Giver {
  peer: SchedulerPeer;
  /** Demoted, late, or much slower than others. */
  poor: boolean;
  /** A seeder: asked by number only for what peers don't come by. */
  last: boolean;
  /** If it is poor: those who are not. */
  better?: readonly Giver[];
}
