import { GRPC_MAX_MESSAGE_BYTES } from "@slipway/proto";
import type { DoorLimits, Rate } from "@slipway/proto/admission";

/** What callers may cost at the gRPC port. */
export interface ConnectionLimits {
  /** Connections at once. */
  all: number;
  /** Connections at once of one address; an IPv6 network of 64 bits is one. */
  each: number;
  /** Connections over which nobody was let in yet. */
  strangers: DoorLimits;
  /** Bytes that may come over such a connection, and over all of them. */
  strangerBytes: { each: number; all: number };
}

/**
 * The rest follows from how many connections there may be. By default, 10,000 and 5,000, a region of
 * 2,000 hosts behind one address may start and join at the same moment, and so may another one; who is
 * refused comes back more slowly than places get free. A TLS handshake is under a millisecond of work.
 */
export function connectionLimits({ all, each }: { all: number; each: number }): ConnectionLimits {
  return {
    all,
    each,
    strangers: {
      rate: { each: rate(each), all: rate(all) },
      room: { each: Math.ceil(each / 2), all: Math.ceil(all * 0.4) },
      proveMs: 20_000,
    },
    // The longest message, and what comes before it.
    strangerBytes: { each: GRPC_MAX_MESSAGE_BYTES + 64 * 1024, all: 256 * 1024 * 1024 },
  };
}

const rate = (connections: number): Rate => ({
  burst: Math.ceil(connections / 2),
  perSecond: connections / 20,
});
