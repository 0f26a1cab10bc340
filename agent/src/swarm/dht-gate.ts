import { createHash } from "node:crypto";
import { RateLimiter } from "@slipway/proto/admission";
import type { AdmissionLimits } from "./admission-limits.js";

/** Of HyperDHT's and DHT-RPC's commands those that a private DHT needs. */
const PING = 0;
const FIND_NODE = 2;
const DOWN_HINT = 3;
const INTERNAL: ReadonlySet<number> = new Set([PING, FIND_NODE, DOWN_HINT]);
const PEER_HANDSHAKE = 0;
const FIND_PEER = 2;
const LOOKUP = 3;
const ANNOUNCE = 4;
const UNANNOUNCE = 5;
const QUERIES: ReadonlySet<number> = new Set([FIND_PEER, LOOKUP]);
const ANNOUNCEMENTS: ReadonlySet<number> = new Set([ANNOUNCE, UNANNOUNCE]);

/** For so long, in milliseconds, an answer may be late, and the handshake is sent again. */
export const REPEATED_MS = 4_500;
/** Handshakes that are remembered; some 150 bytes each. */
const REMEMBERED = 16_384;

/** As much of a request as is to be judged. */
export interface DhtRequest {
  internal: boolean;
  command: number;
  value: Buffer | null;
  from: { host: string };
}

export type DhtRefusal = "handshake_rate" | "replayed" | "dht_rate" | "dht_request";

/**
 * Which requests a node of the private DHT answers: those that members make, and no more of them than
 * a region needs. HyperDHT would also store anything for anybody, pass packets on to any address, open
 * sockets to get through a NAT, and hold a timer for each delayed ping. It neither sends nor receives;
 * times are milliseconds of any one clock.
 */
export class DhtGate {
  readonly #requests: RateLimiter;
  readonly #announcements: RateLimiter;
  readonly #handshakes: RateLimiter;
  /** When a handshake came first, by its hash; the oldest first. */
  readonly #seen = new Map<string, number>();

  constructor(limits: Pick<AdmissionLimits, "requests" | "announcements" | "handshakes">) {
    this.#requests = new RateLimiter(limits.requests);
    this.#announcements = new RateLimiter(limits.announcements);
    this.#handshakes = new RateLimiter(limits.handshakes);
  }

  /** Undefined: it is to be answered. */
  judge({ internal, command, value, from }: DhtRequest, now: number): DhtRefusal | undefined {
    if (!this.#requests.allow(from.host, now)) return "dht_rate";
    if (internal) return INTERNAL.has(command) ? undefined : "dht_request";
    if (QUERIES.has(command)) return undefined;
    if (ANNOUNCEMENTS.has(command)) {
      return this.#announcements.allow(from.host, now) ? undefined : "dht_rate";
    }
    if (command !== PEER_HANDSHAKE) return "dht_request";
    const noise = value === null ? undefined : directHandshake(value);
    return noise === undefined ? "dht_request" : this.#judgeHandshake(noise, from.host, now);
  }

  /** Handshakes and addresses that are remembered. */
  get size(): number {
    const limiters = [this.#requests, this.#announcements, this.#handshakes];
    return limiters.reduce((sum, { size }) => sum + size, this.#seen.size);
  }

  #judgeHandshake(noise: Buffer, host: string, now: number): DhtRefusal | undefined {
    const hash = createHash("sha256").update(noise).digest("base64");
    const first = this.#seen.get(hash);
    if (first !== undefined) return now - first < REPEATED_MS ? undefined : "replayed";
    if (!this.#handshakes.allow(host, now)) return "handshake_rate";
    const [oldest] = this.#seen.keys();
    if (this.#seen.size >= REMEMBERED && oldest !== undefined) this.#seen.delete(oldest);
    this.#seen.set(hash, now);
    return undefined;
  }
}

/**
 * The first message of a Noise handshake, from a client that speaks to the server itself; undefined
 * for what is to be passed on, and for what has more in it than that.
 */
function directHandshake(value: Buffer): Buffer | undefined {
  // Flags, of which none names an address; the mode "from a client"; a length, and so many bytes.
  if (value.length < 3 || value[0] !== 0 || value[1] !== 0) return undefined;
  const short = value[2] ?? 0;
  const isLong = short === 0xfd && value.length >= 5;
  if (short > 0xfc && !isLong) return undefined;
  const noise = value.subarray(isLong ? 5 : 3);
  const length = isLong ? value.readUInt16LE(3) : short;
  return noise.length === length && length > 0 ? noise : undefined;
}
