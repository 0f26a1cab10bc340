import { addressOf } from "@slipway/proto/admission";
import type { Knex } from "knex";
import type { Logger } from "pino";
import type { Clock, Service } from "../context.js";
import { type DomainError, tooManyFailures, unauthenticated, unavailable } from "../errors.js";
import type { EventBus } from "../events.js";
import type { Stats } from "../stats.js";
import { Sweeper } from "../sweeper.js";
import type { Asked, Authenticator, EndingToken } from "./admission.js";
import { FailureLimiter } from "./failure-limiter.js";
import { NOBODY, type Identity } from "./identity.js";
import { Refusals } from "./refusals.js";
import { TokenCache, type CachedToken } from "./token-cache.js";
import { readTokens, touchTokens, type KnownToken } from "./token-store.js";
import { isSecretOf, parseToken, type ParsedToken } from "./token-text.js";

/** For so long a look-up holds, and so a token at most after its end. */
const HOLDS_MS = 5_000;
/** Tokens in use are looked up again, all in one statement, so that no call has to wait for it. */
const REFRESH_MS = 2_000;
/** Without the database, calls in progress go on for so long: their token may have ended. */
const UNCHECKED_MS = 60_000;
/** How often a token's last use is written. */
const TELL_USE_MS = 60_000;

interface Options {
  db: Knex;
  events: EventBus;
  clock: Clock;
  log: Logger;
  stats: Stats;
}

type Failure = "missing" | "malformed" | "unknown" | "revoked" | "expired";

/** Finds out who calls by the bearer token, without a look-up for each call. */
export class TokenAuthenticator implements Authenticator, Service {
  readonly #options: Options;
  readonly #cache = new TokenCache();
  readonly #limiter = new FailureLimiter();
  /** Of what is open: who brings bad tokens keeps no member behind its address from renewing. */
  readonly #openLimiter = new FailureLimiter();
  readonly #refusals: Refusals;
  readonly #lookUps = new Map<string, Promise<KnownToken | undefined>>();
  readonly #sweeper: Sweeper;
  #forget: (() => void) | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#refusals = new Refusals(options);
    this.#sweeper = new Sweeper({
      sweeps: [{ what: "looking tokens up again", run: () => this.#refresh() }],
      intervalMs: REFRESH_MS,
      log: options.log,
    });
  }

  start(): void {
    this.#forget ??= this.#options.events.subscribe("token", () => this.#sweeper.wake());
    this.#sweeper.start();
  }

  async stop(): Promise<void> {
    this.#forget?.();
    await this.#sweeper.stop();
    await this.#refusals.settled();
  }

  authenticate(asked: Asked<unknown>): Identity | Promise<Identity> {
    const now = this.#options.clock.now();
    const [header] = asked.metadata.get("authorization");
    const text = typeof header === "string" ? /^bearer +(\S+)$/i.exec(header)?.[1] : undefined;
    const parsed = text === undefined ? undefined : parseToken(text);
    const cached = parsed === undefined ? undefined : this.#cache.get(parsed.id);
    if (parsed !== undefined && cached !== undefined && now - cached.checkedAt < HOLDS_MS) {
      // A good token that is known costs no look-up: whoever fails from the same address does not
      // shut its holder out.
      const isGood = isSecretOf(parsed.secret, cached.token.secretHash) && isLive(cached, now);
      if (isGood) return used(cached, now);
      this.#checkLimit(this.#limiter, asked, now);
      return this.#judge(asked, parsed, cached, now);
    }
    // Nor does whoever fails shut out who was here before and comes back after a while.
    if (!this.#wasGood(parsed, now)) this.#checkLimit(this.#limiter, asked, now);
    if (header === undefined) throw this.#fail(asked, "missing", now);
    if (parsed === undefined) throw this.#fail(asked, "malformed", now);
    return this.#lookUp(parsed.id).then((token) => {
      const then = this.#options.clock.now();
      const entry = token === undefined ? undefined : this.#cache.put(token, now);
      if (entry === undefined) this.#cache.drop(parsed.id);
      return this.#judge(asked, parsed, entry, then);
    });
  }

  admitStranger(asked: Asked<unknown>): Identity {
    this.#checkLimit(this.#openLimiter, asked, this.#options.clock.now());
    return NOBODY;
  }

  failed({ peer }: Asked<unknown>): void {
    this.#options.stats.authFailures.add("unproved");
    this.#openLimiter.failed(addressOf(peer), this.#options.clock.now());
  }

  refused({ method }: Asked<unknown>, identity: Identity, error: DomainError): void {
    this.#options.stats.authFailures.add(error.reason === "OUT_OF_SCOPE" ? "scope" : "role");
    this.#refusals.tell(identity, method, error.message, this.#options.clock.now());
  }

  follow({ tokenId }: Identity, end: (error: Error) => void): () => void {
    const cached = this.#cache.get(tokenId);
    if (cached === undefined) return () => undefined;
    cached.ends.add(end);
    return () => cached.ends.delete(end);
  }

  ending(withinMs: number): EndingToken[] {
    const by = this.#options.clock.now() + withinMs;
    return this.#cache
      .all()
      .flatMap(({ token: { id, name, role, expireTime, revokeTime } }) =>
        expireTime === null || revokeTime !== null || role === "enrol" || Number(expireTime) > by
          ? []
          : { id, name, role, expireTime },
      )
      .sort((a, b) => Number(a.expireTime) - Number(b.expireTime));
  }

  /** It was good when it was used here last, and has not ended as far as is known. */
  #wasGood(parsed: ParsedToken | undefined, now: number): boolean {
    const token = parsed && this.#cache.recall(parsed.id);
    if (parsed === undefined || token === undefined) return false;
    return isSecretOf(parsed.secret, token.secretHash) && endOf(token, now) === undefined;
  }

  #checkLimit(limiter: FailureLimiter, { peer }: Asked<unknown>, now: number): void {
    const waitMs = limiter.waitMs(addressOf(peer), now);
    if (waitMs === 0) return;
    this.#options.stats.authFailures.add("limited");
    throw tooManyFailures(waitMs);
  }

  #judge(
    asked: Asked<unknown>,
    { secret }: ParsedToken,
    cached: CachedToken | undefined,
    now: number,
  ): Identity {
    const isProved = isSecretOf(secret, cached?.token.secretHash);
    if (!isProved || cached === undefined) throw this.#fail(asked, "unknown", now);
    const ended = endOf(cached.token, now);
    if (ended === undefined) return used(cached, now);
    // Who has the secret does not guess. An agent that goes on with a token that has ended would shut
    // out everybody at its address, and whoever is to give it another one.
    this.#options.stats.authFailures.add(ended);
    const error = unauthenticated(...SAID[ended]);
    this.#refusals.tell(cached.identity, asked.method, error.message, now);
    throw error;
  }

  #fail({ peer }: Asked<unknown>, failure: Failure, now: number): DomainError {
    this.#options.stats.authFailures.add(failure);
    this.#limiter.failed(addressOf(peer), now);
    return unauthenticated(...SAID[failure]);
  }

  /** One look-up at a time of a token, however many calls wait for it. */
  #lookUp(id: string): Promise<KnownToken | undefined> {
    const before = this.#lookUps.get(id);
    if (before !== undefined) return before;
    const lookUp = readTokens(this.#options.db, [id])
      .then((found) => found.get(id))
      .finally(() => this.#lookUps.delete(id));
    this.#lookUps.set(id, lookUp);
    return lookUp;
  }

  async #refresh(): Promise<number> {
    const { clock, db } = this.#options;
    const asked = clock.now();
    const active = this.#cache.active(asked);
    try {
      const found = await readTokens(
        db,
        active.map(({ token }) => token.id),
      );
      for (const cached of active) this.#refreshed(cached, found.get(cached.token.id), asked);
      await this.#tellUses(active);
    } finally {
      for (const cached of active) this.#endUnchecked(cached);
    }
    return 0;
  }

  #refreshed(cached: CachedToken, found: KnownToken | undefined, asked: number): void {
    if (found === undefined) this.#cache.drop(cached.token.id);
    else this.#cache.put(found, asked);
    const ended = found === undefined ? "unknown" : endOf(found, asked);
    if (ended === undefined) return;
    for (const end of cached.ends) end(unauthenticated(...SAID[ended]));
    cached.ends.clear();
  }

  #endUnchecked({ checkedAt, ends }: CachedToken): void {
    if (this.#options.clock.now() - checkedAt < UNCHECKED_MS) return;
    const message = "the token cannot be looked up; try again";
    for (const end of ends) end(unavailable("TOKEN_UNCHECKED", message));
    ends.clear();
  }

  async #tellUses(active: readonly CachedToken[]): Promise<void> {
    const due = active.filter(({ usedAt, toldAt }) => usedAt - toldAt >= TELL_USE_MS);
    await touchTokens(
      this.#options.db,
      new Map(due.map(({ token, usedAt }) => [token.id, usedAt])),
    );
    for (const cached of due) cached.toldAt = cached.usedAt;
  }
}

const SAID: Record<Failure, [reason: string, message: string]> = {
  missing: ["TOKEN_MISSING", "this coordinator asks for a token: send authorization: Bearer TOKEN"],
  malformed: ["TOKEN_MALFORMED", "what was sent as authorization is not a token of Slipway's"],
  unknown: ["TOKEN_UNKNOWN", "the token is not known"],
  revoked: ["TOKEN_REVOKED", "the token was revoked; ask an admin for another one"],
  expired: ["TOKEN_EXPIRED", "the token has expired; ask an admin for another one"],
};

function endOf({ revokeTime, expireTime }: KnownToken, now: number): Failure | undefined {
  if (revokeTime !== null) return "revoked";
  return expireTime !== null && expireTime.getTime() <= now ? "expired" : undefined;
}

const isLive = ({ token }: CachedToken, now: number): boolean => endOf(token, now) === undefined;

function used(cached: CachedToken, now: number): Identity {
  cached.usedAt = now;
  return cached.identity;
}
