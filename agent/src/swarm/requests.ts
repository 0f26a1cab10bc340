import type { Priority, Wanted } from "./priority.js";
import { DeliveryRate } from "./rate.js";

/** Milliseconds and bytes. */
export const LIMITS = {
  /** Shortest time that a request gets. */
  deadlineMs: 5_000,
  /** Any chunk waits for its turn among all that a seeder's neighbours ask for. */
  anyDeadlineMs: 60_000,
  /** A neighbour that sends nothing for so long, while it owes something, is stalled. */
  stallMs: 5_000,
  demoteMs: 5_000,
  demoteMaxMs: 60_000,
  /** Somebody busy is asked again after so long: a chunk takes longer on all but the fastest links. */
  busyMs: 50,
  /** Bytes asked of one neighbour ahead of their arrival: what it sends in so long a time … */
  windowMs: 250,
  /** … but within these bounds. */
  windowMinBytes: 1024 * 1024 + 1,
  windowMaxBytes: 16 * 1024 * 1024,
  /** Bytes asked for or not yet written, of all neighbours together: what bounds memory. */
  budgetBytes: 24 * 1024 * 1024,
  /** Bytes asked for by number, of all neighbours together: what arrives in so long a time … */
  aheadMs: 200,
  /** … but so many chunks: fewer leave links idle, more make chunks slower to pass on. */
  aheadMinChunks: 4,
  /** So long it waits for peers to come by what is wanted, before it asks a seeder by number. */
  patienceMs: 25,
  /** So long a seeder that has nothing new is not asked for any chunk again. */
  nothingNewMs: 1_000,
  /** A chunk is late after so many times what it should take, and no sooner than this. */
  lateFactor: 2,
  lateMinMs: 250,
  /** At the end, so many late chunks may be asked of another neighbour, too … */
  hedgedChunks: 32,
  /** … until so many owe one. */
  hedgeOwers: 3,
  /** What a chunk is expected to take as long as nobody sent any. */
  unknownMs: 1_000,
} as const;

const UNKNOWN_BYTES_PER_MS = 1_000_000;

export interface Request {
  id: number;
  artifact: string;
  chunk: Wanted;
  priority: Priority;
  /** Of any chunk: what one has on average, until it is known which. */
  size: number;
  askedAt: number;
  deadline: number;
  /** From then on its chunk is late: it is not counted on any more. */
  lateAt: number;
  /** Its chunk has begun to come in. */
  begun: boolean;
}

/** A request whose chunk is known. */
export type BoundRequest = Request & { chunk: number };

export const isBound = (request: Request): request is BoundRequest => request.chunk !== "any";

/**
 * What one neighbour owes us, how fast it is, and how much may be asked of it. Neither sends nor
 * receives; takes the clock's time.
 */
export class PeerRequests {
  readonly open = new Map<number, Request>();
  readonly rate = new DeliveryRate();
  outstandingBytes = 0;
  /** Of these, asked for by number. */
  numberedBytes = 0;
  demotedUntil = 0;
  #nextId = 1;
  #strikes = 0;
  #progressAt = 0;
  #pausedUntil = 0;
  #slow = false;

  /** One chunk at a time: its chunks come over the control stream. */
  setSlow(slow: boolean): void {
    this.#slow = slow;
  }

  windowBytes(): number {
    if (this.#slow) return 1;
    const fitting = ((this.rate.value ?? 0) * LIMITS.windowMs) / 1000;
    return Math.min(LIMITS.windowMaxBytes, Math.max(LIMITS.windowMinBytes, fitting));
  }

  /** It is not asked before this time. */
  get pausedUntil(): number {
    return this.#pausedUntil;
  }

  hasRoom(now: number): boolean {
    if (now < this.#pausedUntil) return false;
    // One at a time until it has proved itself again.
    if (this.demotedUntil > 0 && this.open.size > 0) return false;
    return this.outstandingBytes < this.windowBytes();
  }

  /** Somebody who never sent anything owes one chunk at most: it may be anything but fast. */
  hasRoomByNumber(now: number): boolean {
    if (this.rate.value === undefined && this.numberedBytes > 0) return false;
    return this.hasRoom(now);
  }

  demoted(now: number): boolean {
    return now < this.demotedUntil;
  }

  /** How long one more chunk should take; who never sent anything is taken for fast, to see. */
  waitMs(bytes: number): number {
    if (this.rate.value === undefined) return this.outstandingBytes / UNKNOWN_BYTES_PER_MS;
    return ((this.outstandingBytes + bytes) / Math.max(1, this.rate.value)) * 1_000;
  }

  /** How long the bytes that are owed should take, in milliseconds; undefined before any came. */
  expectedMs(): number | undefined {
    if (this.rate.value === undefined) return undefined;
    return (this.outstandingBytes / Math.max(1, this.rate.value)) * 1000;
  }

  /** `othersRate`: what others deliver, in bytes a second, as long as it is not known of this one. */
  add(
    wanted: Pick<Request, "artifact" | "chunk" | "priority" | "size">,
    now: number,
    othersRate?: number,
  ): Request {
    if (!this.#owes()) this.#progressAt = now;
    this.outstandingBytes += wanted.size;
    if (wanted.chunk !== "any") this.numberedBytes += wanted.size;
    const expected = this.expectedMs();
    const numbered = Math.max(LIMITS.deadlineMs, expected === undefined ? 30_000 : expected * 4);
    const allowed = wanted.chunk === "any" ? LIMITS.anyDeadlineMs : numbered;
    const request: Request = {
      ...wanted,
      id: this.#nextId,
      askedAt: now,
      deadline: now + allowed,
      lateAt: now + lateMs(this.outstandingBytes, this.rate.value ?? othersRate),
      begun: false,
    };
    this.#nextId = this.#nextId === 0xffff_ffff ? 1 : this.#nextId + 1;
    this.open.set(request.id, request);
    return request;
  }

  /** Was this id ever given out? */
  knows(id: number): boolean {
    return id > 0 && id < this.#nextId;
  }

  /** How many requests for any chunk of an artifact are open. */
  anyOf(artifact: string): number {
    let count = 0;
    for (const request of this.open.values()) {
      if (request.artifact === artifact && request.chunk === "any") count++;
    }
    return count;
  }

  find(artifact: string, chunk: number): Request | undefined {
    for (const request of this.open.values()) {
      if (request.artifact === artifact && request.chunk === chunk) return request;
    }
    return undefined;
  }

  remove(id: number): Request | undefined {
    const request = this.open.get(id);
    if (request === undefined) return undefined;
    this.open.delete(id);
    this.outstandingBytes -= request.size;
    if (request.chunk !== "any") this.numberedBytes -= request.size;
    return request;
  }

  /** It is known now which chunk comes. */
  bind(request: Request, chunk: number, size: number, now: number): void {
    this.outstandingBytes += size - request.size;
    this.numberedBytes += size;
    request.deadline = now + LIMITS.deadlineMs;
    request.lateAt = now + lateMs(size, this.rate.value);
    this.#progressAt = now;
    request.chunk = chunk;
    request.size = size;
  }

  progress(now: number): void {
    this.#progressAt = now;
  }

  delivered(request: Request, now: number): void {
    this.rate.delivered(request.size, request.askedAt, now);
    this.#progressAt = now;
    this.#strikes = 0;
    this.demotedUntil = 0;
  }

  busy(now: number): void {
    this.#pausedUntil = now + LIMITS.busyMs;
  }

  demote(now: number): void {
    const wait = Math.min(LIMITS.demoteMaxMs, LIMITS.demoteMs * 2 ** this.#strikes);
    this.#strikes = Math.min(this.#strikes + 1, 10);
    this.demotedUntil = now + wait;
  }

  /** Requests that are too late: all of a stalled neighbour's. */
  overdue(now: number): Request[] {
    if (this.open.size === 0) return [];
    const stalled = this.#owes() && now - this.#progressAt >= LIMITS.stallMs;
    return [...this.open.values()].filter((request) => stalled || now >= request.deadline);
  }

  /** Of the bytes asked for by number, those that should be here by now. */
  lateBytes(now: number): number {
    let bytes = 0;
    for (const request of this.open.values()) {
      if (isBound(request) && now >= request.lateAt) bytes += request.size;
    }
    return bytes;
  }

  /** Whether it should be sending: any chunk may have to wait. */
  #owes(): boolean {
    return this.numberedBytes > 0;
  }
}

function lateMs(bytes: number, rate: number | undefined): number {
  const expected = rate === undefined ? LIMITS.unknownMs : (bytes / Math.max(1, rate)) * 1_000;
  return Math.max(LIMITS.lateMinMs, expected * LIMITS.lateFactor);
}
