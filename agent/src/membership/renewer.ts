import type { ServiceError } from "@grpc/grpc-js";
import {
  getErrorDetails,
  type JoinResponse,
  MembershipCertificate,
  type MembershipServiceClient,
  unary,
} from "@slipway/proto";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import { pause } from "../pause.js";
import { certificateExpiry, type Identity, type MemberRole } from "../swarm/identity.js";
import { replaceIdentity } from "../swarm/identity-file.js";
import type { Trust } from "../trust/open-trust.js";
import { joinMetadata } from "./join-fleet.js";
import { joinRequest, renewRequest } from "./proofs.js";
import { offerKeySet, takeGrant } from "./take-grant.js";
import { renewalTime } from "./when-to-renew.js";

const RETRY = { baseMs: 5_000, maxMs: 5 * 60_000 };
const CALL_TIMEOUT_MS = 10_000;
/** The machine may sleep meanwhile, or its clock be put right. */
const LOOK_MS = 60_000;
/**
 * Part of a certificate's life that passes before the clock alone has it renewed again: to a clock that
 * is days ahead of the coordinator's each new certificate is due at once.
 */
const RESTS_FOR = 0.1;

/** How renewing went since the start. */
export interface RenewalStats {
  renewed: number;
  failed: number;
}

export interface RenewerOptions<R extends MemberRole> {
  client: MembershipServiceClient;
  identity: Identity<R>;
  identityFile: string;
  trust: Trust | undefined;
  /** Holds a token for members that coordinators have lost; read when it is needed. */
  joinTokenFile?: string | undefined;
  log: Logger;
  /** The identity has another certificate; it is written down already. */
  onRenewed: (identity: Identity<R>) => void;
  /** Between looks whether it is time, in ms. Default: a minute. */
  lookMs?: number | undefined;
  retry?: { baseMs: number; maxMs: number } | undefined;
}

/**
 * Renews a member's certificate for as long as the agent runs. A coordinator that is away is waited
 * for, also after the certificate's end: what runs goes on.
 */
export class Renewer<R extends MemberRole> {
  readonly stats: RenewalStats = { renewed: 0, failed: 0 };
  readonly #options: RenewerOptions<R>;
  readonly #controller = new AbortController();
  #identity: Identity<R>;
  #loop: Promise<void> | undefined;

  constructor(options: RenewerOptions<R>) {
    this.#options = options;
    this.#identity = options.identity;
  }

  start(): void {
    if (!this.#controller.signal.aborted) this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#controller.abort(new Error("the agent stops"));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    const { log, lookMs = LOOK_MS, retry = RETRY } = this.#options;
    let dueTime = this.#dueTime();
    let restsUntil = 0;
    let attempt = 0;
    while (!signal.aborted) {
      const leftMs = restsUntil - performance.now();
      const rests = leftMs > 0;
      const nextTime = Math.min(rests ? Infinity : dueTime, this.#keyDueTime());
      // A timer may fire just before the rest is over.
      const untilMs = Math.min(rests ? leftMs : Infinity, nextTime - Date.now());
      let waitMs = Math.min(lookMs, Math.max(0, untilMs));
      if (Date.now() >= nextTime) {
        try {
          await this.renew();
          attempt = 0;
          dueTime = this.#dueTime();
          const restMs = this.#lifeMs() * RESTS_FOR;
          restsUntil = performance.now() + restMs;
          waitMs = Math.min(lookMs, restMs);
        } catch (error) {
          if (signal.aborted) return;
          this.stats.failed += 1;
          waitMs = backOffMs(attempt, retry);
          attempt += 1;
          const about = { err: error, expireTime: certificateExpiry(this.#identity) };
          if (isFinal(error)) {
            log.error(about, "this member was revoked: its certificate is not renewed any more");
            return;
          }
          log.warn({ ...about, retryInMs: waitMs }, "the certificate cannot be renewed yet");
        }
      }
      await pause(waitMs, signal);
    }
  }

  /** Once, now. @throws ServiceError, GrantError, and errors of the file. */
  async renew(): Promise<void> {
    const { client, identityFile, trust, log, onRenewed } = this.#options;
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal: this.#controller.signal };
    // This machine's clock may be wrong: that must not cost it its place.
    const { time } = await unary(client, "getTime", {}, options);
    if (time === undefined) throw new Error("the coordinator does not say what time it is");
    const request = renewRequest(this.#identity, time);
    const { grant } = await unary(client, "renew", request, options).catch((error: unknown) =>
      this.#joinAgain(error),
    );
    offerKeySet(trust, grant);
    const renewed = takeGrant<R>(this.#identity, grant, trust?.keys.memberships);
    await replaceIdentity(identityFile, renewed);
    this.#identity = renewed;
    this.stats.renewed += 1;
    log.info({ expireTime: grant?.expireTime }, "certificate renewed");
    onRenewed(renewed);
  }

  /**
   * Coordinators that know nothing of this member any more, as their database was restored from an older
   * backup, are told again by a token, if somebody has left one here. @throws the error, if not.
   */
  async #joinAgain(error: unknown): Promise<JoinResponse> {
    const { client, joinTokenFile, log } = this.#options;
    const { natsSeed } = this.#identity;
    if (reasonOf(error) !== "NOT_THAT_MEMBER") throw error;
    if (joinTokenFile === undefined || natsSeed === undefined) {
      log.error("no coordinator knows this member: start it with a token to join with, once");
      throw error;
    }
    log.warn({ joinTokenFile }, "no coordinator knows this member: it joins again with its keys");
    const request = joinRequest({ ...this.#identity, natsSeed });
    const metadata = await joinMetadata(joinTokenFile);
    const { signal } = this.#controller;
    return unary(client, "join", request, { timeoutMs: CALL_TIMEOUT_MS, signal, metadata });
  }

  /**
   * When the certificate is to be renewed for its key's sake: at once if that holds no more, and early
   * if it ends before the certificate does.
   */
  #keyDueTime(): number {
    const { trust } = this.#options;
    if (trust?.keySet === undefined) return Infinity;
    const { certificate, issueTime = new Date(0) } = this.#identity;
    const signer = trust.keys.memberships.signer(MembershipCertificate.decode(certificate));
    if (signer === undefined) return 0;
    const endTime = trust.keys.memberships.endTime(signer);
    if (endTime >= certificateExpiry(this.#identity).getTime()) return Infinity;
    const early = renewalTime({ issueTime, expireTime: new Date(endTime) }, 0);
    // Renewed by the same key once more, it would be due again sooner and sooner.
    return Math.max(early, issueTime.getTime() + LOOK_MS);
  }

  #lifeMs(): number {
    const { issueTime = new Date(0) } = this.#identity;
    return certificateExpiry(this.#identity).getTime() - issueTime.getTime();
  }

  #dueTime(): number {
    const { issueTime = new Date(0) } = this.#identity;
    const expireTime = certificateExpiry(this.#identity);
    return renewalTime({ issueTime, expireTime }, Math.random());
  }
}

function isFinal(error: unknown): boolean {
  return reasonOf(error) === "MEMBER_REVOKED";
}

function reasonOf(error: unknown): string | undefined {
  const { metadata } = error as Partial<ServiceError>;
  return metadata && getErrorDetails(metadata)?.reason;
}
