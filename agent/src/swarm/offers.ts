import { randomBytes } from "node:crypto";

/** An offer is worthless after this. */
export const OFFER_MS = 10_000;
const OFFERS_PER_PEER = 4;

export interface Offer {
  /** The peer that may use it. */
  peer: string;
  /** 16 bytes. */
  identity: Buffer;
  /** 32 bytes. */
  key: Buffer;
  expiresAt: number;
}

/** Secrets for data connections: random, single use, short-lived, few a peer. */
export class OfferBook {
  readonly #offers = new Map<string, Offer>();

  /** Undefined if the peer has too many open already. */
  issue(peer: string, now: number): Offer | undefined {
    this.#expire(now);
    const open = [...this.#offers.values()].filter((offer) => offer.peer === peer).length;
    if (open >= OFFERS_PER_PEER) return undefined;
    const offer = {
      peer,
      identity: randomBytes(16),
      key: randomBytes(32),
      expiresAt: now + OFFER_MS,
    };
    this.#offers.set(offer.identity.toString("hex"), offer);
    return offer;
  }

  /** Uses up an offer; undefined if there is none, or no longer. */
  take(identityHex: string, now: number): Offer | undefined {
    const offer = this.#offers.get(identityHex);
    this.#offers.delete(identityHex);
    return offer !== undefined && offer.expiresAt > now ? offer : undefined;
  }

  /** Whether somebody may come with one. */
  isOpen(now: number): boolean {
    this.#expire(now);
    return this.#offers.size > 0;
  }

  forget(peer: string): void {
    for (const [identity, offer] of this.#offers) {
      if (offer.peer === peer) this.#offers.delete(identity);
    }
  }

  #expire(now: number): void {
    for (const [identity, offer] of this.#offers) {
      if (offer.expiresAt <= now) this.#offers.delete(identity);
    }
  }
}
