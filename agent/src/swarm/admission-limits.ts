import type { DoorLimits, RateLimits } from "@slipway/proto/admission";

/** What those may cost who have not shown a certificate. */
export interface AdmissionLimits {
  /** Requests to the DHT: some 50 µs each, and a reply. */
  requests: RateLimits;
  /** Those of them that announce, and are to be verified. */
  announcements: RateLimits;
  /** Handshakes: a millisecond each. What is repeated, as an answer was late, counts once. */
  handshakes: RateLimits;
  /** Connections that others made, until they have said a valid hello; some 80 KiB each. */
  greetings: DoorLimits;
  /** Data connections, until they have shown the secret that was given to a neighbour. */
  data: DoorLimits;
}

/**
 * Set so that a region of 2,000 hosts behind one address may come back at the same moment. Each dials
 * a region agent or two: a thousand handshakes are taken at once, and the others as their senders
 * repeat them, which they do three times, a second apart. Announcements are repeated like that, and
 * later anyway. Who says hello at once is let in, whatever the crowd: see WaitingRoom.
 */
export const ADMISSION_LIMITS: AdmissionLimits = {
  requests: {
    each: { burst: 20_000, perSecond: 8_000 },
    all: { burst: 30_000, perSecond: 12_000 },
  },
  announcements: {
    each: { burst: 4_000, perSecond: 1_000 },
    all: { burst: 6_000, perSecond: 1_500 },
  },
  handshakes: {
    each: { burst: 1_000, perSecond: 400 },
    all: { burst: 1_500, perSecond: 500 },
  },
  greetings: { room: { each: 192, all: 256 }, proveMs: 3_000 },
  // Of neighbours only, two connections each.
  data: {
    rate: { each: { burst: 500, perSecond: 100 }, all: { burst: 1_000, perSecond: 200 } },
    room: { each: 48, all: 64 },
    proveMs: 3_000,
  },
};
