import type { Priority, Wanted } from "./priority.js";
import { RateMeter } from "./rate.js";
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

/** Bytes on their way at once: what leaves in so long a time, within these bounds … */
const WINDOW_MS = 50;
const WINDOW_MAX_BYTES = 64 * 1024 * 1024;
/** … but never fewer than so many chunks, so that one is read while the other leaves. */
const WINDOW_MIN_CHUNKS = 2;
/** Sizes are not known before a chunk is read. */
const ASSUMED_BYTES = 1024 * 1024;
/** A chunk is stale after so many times what it should take, and no sooner than this. */
const STALE_FACTOR = 4;
const STALE_MIN_MS = 500;
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
  readonly #rate = new RateMeter(500);
  #inFlight = 0;
  #inFlightBytes = 0;
  #stale = 0;

  constructor(options: { bytesPerSecond?: number } = {}) {
    this.#bucket = new TokenBucket(options.bytesPerSecond ?? Infinity);
  }

  /** False if the link's queue is full. */
  add(request: UplinkRequest, _now: number): boolean {
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
    if (!flight.stale) this.#inFlightBytes += size - flight.size;
    flight.size = size;
    flight.since = now;
    this.#queue.sent(flight.request.digest, chunk);
  }

  /** A chunk is whole at the other end. */
  received(link: string, requestId: number, now: number): void {
    const flight = this.#land(link, requestId);
    if (flight !== undefined) this.#rate.add(flight.size, now);
  }

  /** A chunk was refused, or could not be read. */
  dropped(link: string, requestId: number, _now: number): void {
    const flight = this.#land(link, requestId);
    if (flight !== undefined) this.#bucket.take(-flight.size);
  }

  /** Call next() again at this time even if nothing happens. */
  wakeAt(now: number): number | undefined {
    if (this.#queue.size === 0) return undefined;
    let at = this.#hasRoom(now) ? this.#bucket.openAt(now) : Infinity;
    if (at <= now) at = Infinity;
    for (const flight of this.#all()) {
      if (!flight.stale) at = Math.min(at, Math.max(now + 1, this.#staleAt(flight, now)));
    }
    return at === Infinity ? undefined : at;
  }

  #hasRoom(now: number): boolean {
    if (this.#inFlight < WINDOW_MIN_CHUNKS) return true;
    const fitting = (this.#rate.read(now) * WINDOW_MS) / 1_000;
    return this.#inFlightBytes < Math.min(WINDOW_MAX_BYTES, fitting);
  }

  #isHeldUp(link: string): boolean {
    for (const flight of this.#flights.get(link)?.values() ?? []) if (flight.stale) return true;
    return false;
  }

  #markStale(now: number): void {
    for (const flight of this.#all()) {
      if (this.#stale >= STALE_MAX) return;
      if (flight.stale || now < this.#staleAt(flight, now)) continue;
      flight.stale = true;
      this.#stale++;
      this.#inFlight--;
      this.#inFlightBytes -= flight.size;
    }
  }

  #staleAt(flight: Flight, now: number): number {
    const rate = this.#rate.read(now);
    const expected = rate > 0 ? ((this.#inFlightBytes + flight.size) / rate) * 1_000 : STALE_MIN_MS;
    return flight.since + Math.max(STALE_MIN_MS, Math.min(expected, 5_000) * STALE_FACTOR);
  }

  #takeOff(request: UplinkRequest, now: number): void {
    const flights = this.#flights.get(request.link) ?? new Map<number, Flight>();
    this.#flights.set(request.link, flights);
    flights.set(request.requestId, { request, size: ASSUMED_BYTES, since: now, stale: false });
    this.#bucket.take(ASSUMED_BYTES);
    this.#inFlight++;
    this.#inFlightBytes += ASSUMED_BYTES;
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
    return flight;
  }

  *#all(): Generator<Flight> {
    for (const flights of this.#flights.values()) yield* flights.values();
  }
}
