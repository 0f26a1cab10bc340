import { type Priority, PRIORITY_RANK } from "./priority.js";
import type { UplinkRequest } from "./uplink.js";

/** More requests of one link than this are refused; a window of small chunks fits. */
const LINK_MAX = 1_024;
/** So many of a link's requests are looked at for one choice: its cost is bounded. */
const LOOKS = 32;
/** Of so many artifacts it is remembered which chunks were sent how often. */
const ARTIFACTS_MAX = 16;

interface Link {
  waiting: UplinkRequest[];
  servedAt: number;
}

/**
 * What is asked of this process and not yet being sent. Higher priorities first, then chunks that
 * were sent fewest times from here, then links in turn.
 */
export class UplinkQueue {
  readonly #links = new Map<string, Link>();
  readonly #sent = new Map<string, Map<number, number>>();
  /** By priority: how many wait for a chunk by its number. */
  readonly #numbered = [0, 0, 0];
  #size = 0;
  #turn = 0;

  get size(): number {
    return this.#size;
  }

  /** How many of this priority or a higher one wait for a chunk by its number. */
  numbered(priority: Priority): number {
    return this.#numbered.slice(PRIORITY_RANK[priority]).reduce((sum, count) => sum + count, 0);
  }

  /** False if the link's queue is full. */
  add(request: UplinkRequest): boolean {
    const link = this.#links.get(request.link) ?? { waiting: [], servedAt: 0 };
    if (link.waiting.length >= LINK_MAX) return false;
    this.#links.set(request.link, link);
    const rank = PRIORITY_RANK[request.priority];
    const place = link.waiting.findIndex(({ priority }) => PRIORITY_RANK[priority] < rank);
    link.waiting.splice(place < 0 ? link.waiting.length : place, 0, request);
    this.#count(request, 1);
    return true;
  }

  remove(id: string, requestId: number): void {
    const link = this.#links.get(id);
    const place = link?.waiting.findIndex((waiting) => waiting.requestId === requestId) ?? -1;
    for (const removed of place < 0 ? [] : (link?.waiting.splice(place, 1) ?? [])) {
      this.#count(removed, -1);
    }
  }

  removeLink(id: string): void {
    for (const removed of this.#links.get(id)?.waiting ?? []) this.#count(removed, -1);
    this.#links.delete(id);
  }

  /** A chunk leaves from here once more. */
  sent(digest: string, chunk: number): void {
    const counts = this.#sent.get(digest) ?? new Map<number, number>();
    // The one that was sent from longest ago is forgotten first.
    this.#sent.delete(digest);
    this.#sent.set(digest, counts);
    counts.set(chunk, (counts.get(chunk) ?? 0) + 1);
    for (const oldest of this.#sent.keys()) {
      if (this.#sent.size <= ARTIFACTS_MAX) break;
      this.#sent.delete(oldest);
    }
  }

  /** Takes out the request that goes next, of the links that may have one. */
  take(mayServe: (link: string) => boolean): UplinkRequest | undefined {
    let best: { link: Link; place: number; score: number } | undefined;
    for (const [id, link] of this.#links) {
      if (link.waiting.length === 0 || !mayServe(id)) continue;
      for (let place = 0; place < Math.min(LOOKS, link.waiting.length); place++) {
        const score = this.#score(link.waiting[place]);
        const better =
          best === undefined ||
          score < best.score ||
          (score === best.score && link.servedAt < best.link.servedAt);
        if (better) best = { link, place, score };
      }
    }
    if (best === undefined) return undefined;
    best.link.servedAt = ++this.#turn;
    const [taken] = best.link.waiting.splice(best.place, 1);
    if (taken !== undefined) this.#count(taken, -1);
    return taken;
  }

  #count({ chunk, priority }: UplinkRequest, by: 1 | -1): void {
    this.#size += by;
    const rank = PRIORITY_RANK[priority];
    if (chunk !== "any") this.#numbered[rank] = (this.#numbered[rank] ?? 0) + by;
  }

  #score(request: UplinkRequest | undefined): number {
    if (request === undefined) return Infinity;
    const { chunk, digest, priority } = request;
    const sent = chunk === "any" ? 0 : (this.#sent.get(digest)?.get(chunk) ?? 0);
    return sent - PRIORITY_RANK[priority] * 1e6;
  }
}
