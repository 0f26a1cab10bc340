import { LinkSpeed } from "./link-speed.js";
import type { Priority, Wanted } from "./priority.js";
import { TokenBucket } from "./token-bucket.js";
import { UplinkQueue } from "./uplink-queue.js";

/** A neighbour wants a chunk from here. */
export interface UplinkRequest {
  link: string;
  requestId: number;
  digest: string;
  chunk: Wanted;
  priority: Priority;
}

interface Flight {
  request: UplinkRequest;
  size: number;
  since: number;
  /** Unacknowledged for much longer than it should take: does not count against the window. */
  stale: boolean;
}

/** The next chunk starts when the link should be done with the last but for so long … */
const LEAD_MS = 4;
/** … unless so many chunks are on their way, and what the link sends in so long a time. */
const FLIGHTS = 5;
const FLIGHTS_MS = 200;
const FLIGHTS_MAX_BYTES = 64 * 1024 * 1024;
/**
 * By number so many chunks may wait, and what the link sends in so long a time: who asks for more
 * is sent on, as somebody else may be idle.
 */
const WAITING = 1;
const WAITING_MS = 100;
/** Sizes are not known before a chunk is read. */
const ASSUMED_BYTES = 1024 * 1024;
/** A chunk is stale after so many times what it should take, and no sooner than this. */
const STALE_FACTOR = 8;
const STALE_MIN_MS = 500;
const STALE_UNKNOWN_MS = 2_000;
/** More than so many stale ones count again: what they hold in memory is bounded. */
const STALE_MAX = 64;

/**
 * What this process sends, over all its links: few chunks at once, so that they go out one after
 * the other rather than all a little. Neither reads nor writes; takes the clock's time.
 */
export class Uplink {
  readonly #queue = new UplinkQueue();
  readonly #flights = new Map<string, Map<number, Flight>>();
  readonly #bucket: TokenBucket;
  readonly #speed = new LinkSpeed();
  /** What a chunk has on average. */
  #chunkBytes = ASSUMED_BYTES;
  #inFlight = 0;
  #inFlightBytes = 0;
  #stale = 0;

  constructor(options: { bytesPerSecond?: number } = {}) {
    this.#bucket = new TokenBucket(options.bytesPerSecond ?? Infinity);
  }

  /** False if too much waits. */
  add(request: UplinkRequest): boolean {
    const leaving = (this.#leavesIn(WAITING_MS) ?? 0) / this.#chunkBytes;
    if (
      request.chunk !== "any" &&
      this.#queue.numbered(request.priority) >= Math.max(WAITING, leaving)
    ) {
      return false;
    }
    return this.#queue.add(request);
  }

  /** A chunk that is in flight goes on. */
  cancel(link: string, requestId: number): void {
    this.#queue.remove(link, requestId);
  }

  removeLink(link: string): void {
    this.#queue.removeLink(link);
    for (const requestId of this.#flights.get(link)?.keys() ?? []) this.#land(link, requestId);
  }

  /** Start sending these: each is in flight from now on. */
  next(now: number): UplinkRequest[] {
    this.#markStale(now);
    const start: UplinkRequest[] = [];
    while (this.#hasRoom(now) && this.#bucket.open(now)) {
      const request = this.#queue.take((link) => !this.#isHeldUp(link));
      if (request === undefined) break;
      this.#takeOff(request, now);
      start.push(request);
    }
    return start;
  }

  /** What a request turned out to be. */
  sending(link: string, requestId: number, chunk: number, size: number, now: number): void {
    const flight = this.#flights.get(link)?.get(requestId);
    if (flight === undefined) return;
    this.#bucket.take(size - flight.size);
    this.#speed.add(size - flight.size, now);
    if (!flight.stale) this.#inFlightBytes += size - flight.size;
    flight.size = size;
    this.#chunkBytes += (size - this.#chunkBytes) / 16;
    this.#queue.sent(flight.request.digest, chunk);
  }

  /** A chunk is whole at the other end. */
  received(link: string, requestId: number, now: number): void {
    const flight = this.#land(link, requestId);
    if (flight !== undefined) this.#speed.measured(flight.size, now - flight.since, now);
  }

  /** A chunk was refused, or could not be read. */
  dropped(link: string, requestId: number, now: number): void {
    const flight = this.#land(link, requestId);
    if (flight === undefined) return;
    this.#bucket.take(-flight.size);
    this.#speed.add(-flight.size, now);
  }

  /** Call next() again at this time even if nothing happens. */
  wakeAt(now: number): number | undefined {
    if (this.#queue.size === 0) return undefined;
    let at = Infinity;
    if (this.#fits()) at = Math.max(this.#bucket.openAt(now), this.#speed.doneAt(now) - LEAD_MS);
    for (const flight of this.#all()) {
      if (!flight.stale) at = Math.min(at, this.#staleAt(flight));
    }
    return at === Infinity ? undefined : Math.max(now + 0.5, at);
  }

  #hasRoom(now: number): boolean {
    if (this.#inFlight === 0) return true;
    return this.#fits() && this.#speed.doneAt(now) - now <= LEAD_MS;
  }

  /** What is unacknowledged leaves room for more. */
  #fits(): boolean {
    if (this.#inFlightBytes >= FLIGHTS_MAX_BYTES) return false;
    return this.#inFlight < FLIGHTS || this.#inFlightBytes < (this.#leavesIn(FLIGHTS_MS) ?? 0);
  }

  /** Bytes; undefined before anything left. */
  #leavesIn(ms: number): number | undefined {
    const speed = this.#speed.bytesPerSecond;
    return speed === undefined ? undefined : (speed * ms) / 1_000;
  }

  #isHeldUp(link: string): boolean {
    for (const flight of this.#flights.get(link)?.values() ?? []) if (flight.stale) return true;
    return false;
  }

  #markStale(now: number): void {
    for (const flight of this.#all()) {
      if (this.#stale >= STALE_MAX) return;
      if (flight.stale || now < this.#staleAt(flight)) continue;
      flight.stale = true;
      this.#stale++;
      this.#inFlight--;
      this.#inFlightBytes -= flight.size;
    }
  }

  #staleAt(flight: Flight): number {
    const speed = this.#speed.bytesPerSecond;
    if (speed === undefined) return flight.since + STALE_UNKNOWN_MS;
    return flight.since + Math.max(STALE_MIN_MS, ((flight.size * STALE_FACTOR) / speed) * 1_000);
  }

  #takeOff(request: UplinkRequest, now: number): void {
    const flights = this.#flights.get(request.link) ?? new Map<number, Flight>();
    this.#flights.set(request.link, flights);
    flights.set(request.requestId, { request, size: this.#chunkBytes, since: now, stale: false });
    this.#bucket.take(this.#chunkBytes);
    this.#speed.add(this.#chunkBytes, now);
    this.#inFlight++;
    this.#inFlightBytes += this.#chunkBytes;
  }

  #land(link: string, requestId: number): Flight | undefined {
    const flights = this.#flights.get(link);
    const flight = flights?.get(requestId);
    if (flights === undefined || flight === undefined) return undefined;
    flights.delete(requestId);
    if (flights.size === 0) this.#flights.delete(link);
    if (flight.stale) this.#stale--;
    else {
      this.#inFlight--;
      this.#inFlightBytes -= flight.size;
    }
    if (this.#inFlight === 0) this.#speed.idle();
    return flight;
  }

  *#all(): Generator<Flight> {
    for (const flights of this.#flights.values()) yield* flights.values();
  }
}
