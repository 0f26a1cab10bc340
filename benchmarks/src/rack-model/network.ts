import type { VirtualClock } from "./clock.js";

/** One way, between any two hosts of a rack. */
const LATENCY_MS = 0.25;
/** Headers of TCP, IP and Ethernet, TLS records, and what else a link carries beside chunks. */
const OVERHEAD = 1.04;
/** A link sends one piece of each connection in turn; so long a piece keeps it busy, within bounds. */
const PIECE_MS = 2;
const PIECE_MIN_BYTES = 16 * 1024;
const PIECE_MAX_BYTES = 256 * 1024;
/** Pieces of a connection on their way at once. */
const WINDOW_PIECES = 6;

/** What the receiver sees of a chunk. */
interface Arrival {
  onFirst: () => void;
  onPiece: (bytes: number) => void;
  onWhole: () => void;
}

interface Chunk {
  bytes: number;
  sent: number;
  delivered: number;
  arrival: Arrival;
}

interface Connection {
  to: Port;
  chunks: Chunk[];
  /** The first chunk that has bytes left to send. */
  sending: number;
  flying: number;
  queued: boolean;
  closed: boolean;
}

/** A host's link. */
export interface Port {
  /** Bytes a millisecond. */
  up: number;
  down: number;
  /** The smaller of the two ends' counts. */
  pieceBytes: number;
  sending: boolean;
  /** Connections that have something to send and room in their window. */
  ready: Connection[];
  downFreeAt: number;
  connections: Map<Port, Connection>;
  sentBytes: number;
}

/**
 * Links between hosts and one switch that is fast enough. What leaves is shared among connections
 * piece by piece; what comes in queues before the receiver's link, and a connection's window holds
 * its sender back, much as TCP does.
 */
export class Network {
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  port(upMbit: number, downMbit: number): Port {
    const up = (upMbit * 125) / OVERHEAD;
    const pieceBytes = Math.min(PIECE_MAX_BYTES, Math.max(PIECE_MIN_BYTES, up * PIECE_MS));
    return {
      up,
      down: (downMbit * 125) / OVERHEAD,
      pieceBytes,
      sending: false,
      ready: [],
      downFreeAt: 0,
      connections: new Map(),
      sentBytes: 0,
    };
  }

  /** A message too small to take a link's time. */
  tell(message: () => void): void {
    this.#clock.in(LATENCY_MS, message);
  }

  send(from: Port, to: Port, bytes: number, arrival: Arrival): void {
    let connection = from.connections.get(to);
    if (connection === undefined) {
      connection = { to, chunks: [], sending: 0, flying: 0, queued: false, closed: false };
      from.connections.set(to, connection);
    }
    connection.chunks.push({ bytes, sent: 0, delivered: 0, arrival });
    this.#offer(from, connection);
  }

  /** What is on its way between the two is lost. */
  cut(from: Port, to: Port): void {
    for (const [a, b] of [
      [from, to],
      [to, from],
    ] as const) {
      const connection = a.connections.get(b);
      if (connection !== undefined) connection.closed = true;
      a.connections.delete(b);
    }
  }

  #offer(from: Port, connection: Connection): void {
    if (connection.queued || connection.closed) return;
    if (connection.sending >= connection.chunks.length) return;
    if (connection.flying >= WINDOW_PIECES) return;
    connection.queued = true;
    from.ready.push(connection);
    if (!from.sending) this.#sendPiece(from);
  }

  #sendPiece(from: Port): void {
    const connection = from.ready.shift();
    from.sending = connection !== undefined;
    if (connection === undefined) return;
    connection.queued = false;
    const chunk = connection.chunks[connection.sending];
    if (chunk === undefined || connection.closed) {
      this.#sendPiece(from);
      return;
    }
    const piece = Math.min(from.pieceBytes, connection.to.pieceBytes);
    const bytes = Math.min(piece, chunk.bytes - chunk.sent);
    chunk.sent += bytes;
    if (chunk.sent === chunk.bytes) connection.sending++;
    connection.flying++;
    from.sentBytes += bytes;
    this.#clock.in(bytes / from.up, () => {
      this.#fly(from, connection, chunk, bytes);
      this.#offer(from, connection);
      this.#sendPiece(from);
    });
  }

  /** As latency is the same everywhere, pieces come to a link in the order in which they left. */
  #fly(from: Port, connection: Connection, chunk: Chunk, bytes: number): void {
    const { to } = connection;
    const start = Math.max(this.#clock.now + LATENCY_MS, to.downFreeAt);
    to.downFreeAt = start + bytes / to.down;
    this.#clock.at(to.downFreeAt, () => {
      connection.flying--;
      if (connection.closed) return;
      if (chunk.delivered === 0) chunk.arrival.onFirst();
      chunk.arrival.onPiece(bytes);
      chunk.delivered += bytes;
      if (chunk.delivered === chunk.bytes) {
        connection.chunks.shift();
        connection.sending--;
        chunk.arrival.onWhole();
      }
      this.#offer(from, connection);
    });
  }
}
