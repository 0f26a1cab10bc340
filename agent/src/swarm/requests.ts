import type { OwnLink } from "./own-link.js";
import type { Priority, Wanted } from "./priority.js";
import { DeliveryRate } from "./rate.js";
import { LIMITS } from "./request-limits.js";

const UNKNOWN_BYTES_PER_MS = 1_000_000;

export interface Request {
  id: number;
  artifact: string;
  chunk: Wanted;
  priority: Priority;
  /** Of any chunk: what one has on average, until it is known which. */
  size: number;
  askedAt: number;
  /** Since then it takes this host's own link to bring it and all that was owed: these bytes. */
  since: number;
  ahead: number;
  /** Given up from then on, if the own link is not to blame. */
  deadline: number;
  /** From then on its chunk is late, if the own link is not to blame. */
  lateAt: number;
  /** Its chunk has begun to come in. */
  begun: boolean;
}

/** A request whose chunk is known. */
export type BoundRequest = Request & { chunk: number };

export const isBound = (request: Request): request is BoundRequest => request.chunk !== "any";

/** Given up, but bytes may be under way: of so many it is remembered what they are. */
const LAPSED_MAX = 64;

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
  readonly #link: OwnLink;
  readonly #lapsed = new Map<number, Request>();
  /** The chunk that is coming in, and its bytes since it was last given time. */
  #coming: Request | undefined;
  #movedBytes = 0;

  constructor(link: OwnLink) {
    this.#link = link;
  }

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
    this.#count(wanted, 1);
    const expected = this.expectedMs();
    const numbered = Math.max(LIMITS.deadlineMs, expected === undefined ? 30_000 : expected * 4);
    const allowed = wanted.chunk === "any" ? LIMITS.anyDeadlineMs : numbered;
    const request: Request = {
      ...wanted,
      id: this.#nextId,
      askedAt: now,
      since: now,
      ahead: this.#link.owedBytes + (wanted.chunk === "any" ? this.outstandingBytes : 0),
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
    this.#count(request, -1);
    if (this.#coming === request) this.#coming = undefined;
    return request;
  }

  /** It is given up, but may come in spite of that. */
  lapse(request: Request): void {
    this.#lapsed.set(request.id, request);
    for (const id of this.#lapsed.keys()) {
      if (this.#lapsed.size <= LAPSED_MAX) return;
      this.#lapsed.delete(id);
    }
  }

  /** One that lapsed, and comes. */
  lapsed(id: number): Request | undefined {
    return this.#lapsed.get(id);
  }

  /** One that lapsed is owed again, as it comes. */
  revive(request: Request, now: number): void {
    this.#lapsed.delete(request.id);
    this.open.set(request.id, request);
    this.#count(request, 1);
    this.#wait(request, now);
  }

  /** Nothing that lapsed will come any more. */
  forgetLapsed(): void {
    this.#lapsed.clear();
  }

  /** It is known now which chunk comes. */
  bind(request: Request, chunk: number, size: number, now: number): void {
    this.#count(request, -1);
    request.chunk = chunk;
    request.size = size;
    this.#count(request, 1);
    this.#wait(request, now);
  }

  /** Its chunk begins to come in. */
  begins(request: Request, now: number): void {
    request.begun = true;
    request.deadline = Math.max(request.deadline, now + LIMITS.movingMs);
    this.#coming = request;
    this.#movedBytes = 0;
    this.#progressAt = now;
  }

  /** Bytes came in: what keeps coming is not given up. */
  progress(bytes: number, now: number): void {
    this.#progressAt = now;
    this.#movedBytes += bytes;
    const coming = this.#coming;
    if (coming === undefined || this.#movedBytes * LIMITS.movingParts < coming.size) return;
    this.#movedBytes = 0;
    coming.deadline = Math.max(coming.deadline, now + LIMITS.movingMs);
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
    const stalled = this.#isStalled(now);
    return [...this.open.values()].filter((request) => stalled || this.#isOverdue(request, now));
  }

  /** It should be here by now, for all that this host's own link has to carry. */
  isLate(request: Request, now: number): boolean {
    if (!isBound(request) || now < request.lateAt) return false;
    return now >= request.since + this.#link.msFor(request.ahead) * LIMITS.lateFactor;
  }

  /** Of the bytes asked for by number, those that should be here by now. */
  lateBytes(now: number): number {
    let bytes = 0;
    for (const request of this.open.values()) {
      if (this.isLate(request, now)) bytes += request.size;
    }
    return bytes;
  }

  #count({ chunk, size }: Pick<Request, "chunk" | "size">, sign: 1 | -1): void {
    this.outstandingBytes += sign * size;
    if (chunk === "any") return;
    this.numberedBytes += sign * size;
    this.#link.owedBytes += sign * size;
  }

  /** It is waited for from now on. */
  #wait(request: Request, now: number): void {
    request.since = now;
    request.ahead = this.#link.owedBytes;
    request.deadline = now + LIMITS.deadlineMs;
    request.lateAt = now + lateMs(request.size, this.rate.value);
    this.#progressAt = now;
  }

  #isOverdue({ deadline, since, ahead }: Request, now: number): boolean {
    return now >= Math.max(deadline, since + this.#link.msFor(ahead) * LIMITS.ownLinkFactor);
  }

  /** Its bytes may wait before this host's link, behind those of others, as long as any come. */
  #isStalled(now: number): boolean {
    const quietMs = now - this.#progressAt;
    if (!this.#owes() || quietMs < LIMITS.stallMs) return false;
    if (this.#link.isQuiet(this.#progressAt, now)) return true;
    return quietMs >= this.#link.turnMs(LIMITS.ownLinkFactor);
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
