import { isLoopback, parseAddress, type Address } from "./address.js";
import type { SlipwayError } from "./errors.js";

/** What `createClient` takes. Everything has a default. */
export interface ClientOptions {
  /**
   * Where coordinators listen: "host:port" or "[IPv6]:port". Of several, the client stays with one
   * until it cannot be reached, then goes on with the next, round and round; they are all equal.
   * Default "127.0.0.1:7700", where a coordinator listens by default.
   */
  coordinator?: string | readonly string[];
  /**
   * True: TLS with the system's certificate authorities. An object: TLS with these. False: plain
   * text. Default: plain text if every address is this machine's loopback, else TLS, so that
   * nothing crosses a network in the clear unless it was asked for.
   */
  tls?: boolean | TlsOptions;
  /**
   * Sent with each call as "authorization: Bearer …". A function is asked again for every call, so
   * that tokens which expire can be renewed. Default none.
   */
  token?: string | (() => string | Promise<string>);
  /**
   * Milliseconds for a whole call, its retries included; for a watch, until the first answer of
   * each connection. Default 10,000: longer than the retries' pauses together, short enough to
   * notice.
   */
  timeoutMs?: number;
  /**
   * Milliseconds in which a connection must be made before another try (or the next address) takes
   * its place. Default 3,000: a lost SYN is sent again after 1 s, and twice fits.
   */
  connectTimeoutMs?: number;
  /** When failed calls are made again. */
  retry?: RetryOptions;
  /**
   * Milliseconds for which a watch keeps trying to reach a coordinator since it last heard from
   * one, before it throws. Default 300,000 (5 min): longer than restarts and failovers of a
   * coordinator or its database take, so that only real outages end a watch.
   */
  unavailableTimeoutMs?: number;
  /** Told of each failure that is tried again: for logs and progress. Default: nobody. */
  onRetry?: (retry: Retry) => void;
  /**
   * Told when the token ends that is sent, with every answer; not of one without an end. Write the next
   * one where `token` gets it before that. Default: nobody.
   */
  onTokenExpireTime?: (expireTime: Date) => void;
}

/** Certificates, as PEM. */
export interface TlsOptions {
  /** Certificate authorities to trust. Default: the system's. */
  rootCertificates?: Buffer;
  /** This client's key and certificate chain, where the coordinator asks for one. */
  privateKey?: Buffer;
  certificateChain?: Buffer;
  /** The name that the coordinator's certificate must have. Default: the address's host. */
  serverName?: string;
}

/** When failed calls are made again. Only calls that are safe to repeat are. */
export interface RetryOptions {
  /** How often a call is tried in all. Default 8: with the pauses below about 7 s. 1 is never again. */
  attempts?: number;
  /** Milliseconds before the second try; doubles with each. Half of it is random. Default 100. */
  initialDelayMs?: number;
  /** Milliseconds that no pause exceeds, for calls and watches. Default 2,000. */
  maxDelayMs?: number;
}

/** A failure after which the client tries again. */
export interface Retry {
  /** Name in the protocol, such as "SubmitBuild". */
  method: string;
  /** Failures in a row, 1 at first. */
  failures: number;
  /** Milliseconds until the next try. */
  delayMs: number;
  error: SlipwayError;
}

/** What every method takes beside its request. */
export interface CallOptions {
  /** Ends the call: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** In place of the client's `timeoutMs`, for this call. */
  timeoutMs?: number | undefined;
}

/** What every watch takes beside its request. */
export interface WatchOptions extends CallOptions {
  /** In place of the client's `unavailableTimeoutMs`, for this watch. */
  unavailableTimeoutMs?: number | undefined;
}

/** ClientOptions with every default filled in. */
export interface ResolvedOptions {
  addresses: readonly Address[];
  /** Undefined is plain text. */
  tls: TlsOptions | undefined;
  token: () => Promise<string | undefined>;
  timeoutMs: number;
  connectTimeoutMs: number;
  retry: Required<RetryOptions>;
  unavailableTimeoutMs: number;
  onRetry: (retry: Retry) => void;
  onTokenExpireTime: (expireTime: Date) => void;
}

/** The longest that Node's timers hold. */
const MAX_MS = 2 ** 31 - 1;

/**
 * Fills in the defaults.
 * @throws TypeError for an address or a number that cannot be meant.
 */
export function resolveOptions(options: ClientOptions = {}): ResolvedOptions {
  const { coordinator = "127.0.0.1:7700", token } = options;
  const addresses = [coordinator].flat().map(parseAddress);
  if (addresses.length === 0) throw new TypeError("coordinator names no address");
  const tls = options.tls ?? !addresses.every(isLoopback);
  const retry = options.retry ?? {};
  const attempts = retry.attempts ?? 8;
  if (!Number.isInteger(attempts) || attempts < 1) {
    throw new TypeError(`retry.attempts must be a whole number from 1, not ${attempts}`);
  }
  return {
    addresses,
    tls: tls === false ? undefined : tls === true ? {} : tls,
    token: async () => (typeof token === "function" ? token() : token),
    timeoutMs: milliseconds("timeoutMs", options.timeoutMs, 10_000),
    connectTimeoutMs: milliseconds("connectTimeoutMs", options.connectTimeoutMs, 3_000),
    retry: {
      attempts,
      initialDelayMs: milliseconds("retry.initialDelayMs", retry.initialDelayMs, 100),
      maxDelayMs: milliseconds("retry.maxDelayMs", retry.maxDelayMs, 2_000),
    },
    unavailableTimeoutMs: milliseconds(
      "unavailableTimeoutMs",
      options.unavailableTimeoutMs,
      300_000,
    ),
    onRetry: options.onRetry ?? (() => undefined),
    onTokenExpireTime: options.onTokenExpireTime ?? (() => undefined),
  };
}

/**
 * A number of milliseconds, or its default.
 * @throws TypeError unless it is above 0 and at most about 24.8 days.
 */
export function milliseconds(name: string, value: number | undefined, byDefault: number): number {
  const ms = value ?? byDefault;
  if (!(ms > 0 && ms <= MAX_MS)) {
    throw new TypeError(`${name} must be above 0 and at most ${MAX_MS} milliseconds, not ${ms}`);
  }
  return ms;
}
