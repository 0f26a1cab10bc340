import { randomBytes } from "node:crypto";
import net from "node:net";
import { MembershipCertificate, type PeerList, SWARM_PROTOCOL_VERSION } from "@slipway/proto";
import type { NoiseStream } from "hyperswarm";
import type { Logger } from "pino";
import { BufferPool } from "./buffers.js";
import { DataServer } from "./data-server.js";
import { Discovery, cellTopic } from "./discovery.js";
import { Exchange } from "./exchange.js";
import { type Control, ProtocolError } from "./frames.js";
import { rawPublicKey } from "./identity.js";
import { Library } from "./library.js";
import { Limiter } from "./limiter.js";
import { MembershipError, verifyMembership } from "./membership.js";
import { Neighbour } from "./neighbour.js";
import { Peer } from "./peer.js";
import { StatsBook } from "./stats.js";
import type { FetchOptions, FetchProgress, Swarm, SwarmOptions, SwarmStats } from "./types.js";

const BAN_MS = 60_000;
const READS_AT_ONCE = 8;
const PEER_LIST_MS = 30_000;
/** Neighbours named to another. */
const PEER_LIST_LENGTH = 16;
const PEER_LIST_MAX = 32;
const MAX_PEERS = { host: 10, region: 64 };

/** Becomes a member of the region's swarm. Throws if an address is not IPv4 or the port is taken. */
export async function join(options: SwarmOptions): Promise<Swarm> {
  for (const { host } of [options.listen, ...options.bootstrap]) {
    if (!net.isIPv4(host) || host === "0.0.0.0") throw new Error(`not an IPv4 address: ${host}`);
  }
  const swarm = new JoinedSwarm(options);
  try {
    await swarm.start();
  } catch (error) {
    await swarm.close();
    throw error;
  }
  return swarm;
}

class JoinedSwarm implements Swarm {
  readonly #options: SwarmOptions;
  readonly #log: Logger;
  readonly #maxPeers: number;
  readonly #nonce = randomBytes(16);
  readonly #stats = new StatsBook();
  readonly #buffers = new BufferPool();
  readonly #library: Library;
  readonly #discovery: Discovery;
  readonly #dataServer: DataServer;
  readonly #exchange: Exchange;
  readonly #sender;
  readonly #connections = new Set<Neighbour>();
  readonly #peers = new Map<string, Peer>();
  readonly #hinted = new Map<string, number>();
  readonly #homeTopic: Buffer;
  #peerListTimer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: SwarmOptions) {
    const { identity, listen, bootstrap, encryption = "tls-psk", log } = options;
    this.#options = options;
    this.#log = log;
    this.#maxPeers = options.maxPeers ?? MAX_PEERS[identity.role];
    this.#library = new Library(options.source);
    this.#homeTopic = this.#topic(options.cell);
    this.#sender = {
      library: this.#library,
      buffers: this.#buffers,
      reads: new Limiter(READS_AT_ONCE),
      log,
      onSent: (bytes: number) => this.#stats.sent(bytes),
    };
    this.#exchange = new Exchange({
      selfId: identity.publicKey.toString("hex"),
      library: this.#library,
      buffers: this.#buffers,
      stats: this.#stats,
      log,
      ban: (peer, why) => this.#ban(peer, why),
      onDamaged: (digest) => options.onDamaged?.(digest),
    });
    this.#dataServer = new DataServer({
      listen,
      encryption,
      maxConnections: this.#maxPeers * 4 + 16,
      sender: this.#sender,
      log,
      onProtocolError: (id, error) => this.#peers.get(id)?.neighbour.close(error),
    });
    this.#discovery = new Discovery({
      keyPair: { publicKey: identity.publicKey, secretKey: identity.secretKey },
      listen,
      bootstrap,
      runBootstrap: options.runBootstrap ?? false,
      maxPeers: this.#maxPeers,
      log,
      neighbours: () => this.#peers.size,
      onConnection: (stream) => this.#onConnection(stream),
    });
  }

  get stats(): Readonly<SwarmStats> {
    return this.#stats.view;
  }

  async start(): Promise<void> {
    await this.#dataServer.listen();
    await this.#discovery.start();
    this.#discovery.join(this.#homeTopic);
    this.#peerListTimer = setInterval(() => this.#sendPeerLists(), PEER_LIST_MS).unref();
  }

  joinCell(cell: string): void {
    this.#discovery.join(this.#topic(cell));
  }

  announce(digest: string): void {
    this.#exchange.announce(digest);
  }

  fetch(digest: string, options: FetchOptions): AsyncIterable<FetchProgress> {
    return this.#exchange.fetch(digest, options);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#peerListTimer);
    await this.#exchange.close();
    for (const neighbour of this.#connections) neighbour.close();
    await Promise.allSettled([this.#dataServer.close(), this.#discovery.close()]);
    await this.#library.close();
  }

  #topic(cell: string): Buffer {
    const { membershipPublicKey, identity } = this.#options;
    return cellTopic(rawPublicKey(membershipPublicKey), identity.region, cell);
  }

  #onConnection(stream: NoiseStream): void {
    if (this.#closed !== undefined || this.#discovery.banned(stream.remotePublicKey)) {
      stream.on("error", () => {});
      stream.destroy();
      return;
    }
    const neighbour = new Neighbour(stream, {
      onHello: (from, message) => this.#onHello(from, message),
      onMessage: (from, message) => this.#onMessage(from, message),
      onClose: (from, error) => this.#onClose(from, error),
    });
    this.#connections.add(neighbour);
    const { identity, cell } = this.#options;
    neighbour.send({
      $case: "hello",
      value: {
        protocolVersion: SWARM_PROTOCOL_VERSION,
        certificate: MembershipCertificate.decode(identity.certificate),
        processNonce: this.#nonce,
        cell,
      },
    });
  }

  #onHello(neighbour: Neighbour, message: Control): void {
    if (message.$case !== "hello") throw new ProtocolError("no hello");
    const { certificate, protocolVersion, processNonce, cell } = message.value;
    const membership = verifyMembership(certificate, {
      membershipPublicKey: this.#options.membershipPublicKey,
      remotePublicKey: neighbour.publicKey,
      region: this.#options.identity.region,
      now: Date.now(),
    });
    if (protocolVersion !== SWARM_PROTOCOL_VERSION) {
      throw new ProtocolError(`protocol version ${protocolVersion}`);
    }
    if (processNonce.equals(this.#nonce)) throw new ProtocolError("a connection with itself");
    const peer = new Peer(neighbour, membership, cell, {
      encryption: this.#options.encryption ?? "tls-psk",
      buffers: this.#buffers,
      events: this.#exchange.peerEvents,
      sender: this.#sender,
    });
    // A second connection with the same key: the first one's process has ended, or lost it.
    this.#peers.get(peer.id)?.neighbour.close();
    if (!peer.seeder && this.#peers.size >= this.#maxPeers * 2) {
      this.#log.debug({ peer: membership.id }, "enough neighbours");
      neighbour.close();
      return;
    }
    this.#peers.set(peer.id, peer);
    this.#stats.neighbours(this.#peers.size);
    this.#exchange.addPeer(peer);
    this.#sendPeerList(peer);
    this.#log.debug({ peer: membership.id, neighbours: this.#peers.size }, "neighbour joined");
  }

  #onMessage(neighbour: Neighbour, message: Control): void {
    const peer = this.#peers.get(neighbour.id);
    if (peer?.neighbour !== neighbour) return;
    if (message.$case === "dataRequest") this.#offer(peer);
    else if (message.$case === "peerList") this.#onPeerList(peer, message.value);
    else this.#exchange.accept(peer, message);
  }

  #onClose(neighbour: Neighbour, error: Error | undefined): void {
    this.#connections.delete(neighbour);
    const peer = this.#peers.get(neighbour.id);
    const about = { peer: peer?.membership.id, key: neighbour.id };
    if (error instanceof MembershipError) {
      this.#stats.membershipRefused();
      this.#log.warn({ ...about, reason: error.message }, "peer refused");
    } else if (error instanceof ProtocolError) {
      this.#stats.protocolError();
      this.#log.warn({ ...about, err: error }, "peer broke the protocol");
    } else if (error !== undefined) this.#log.debug({ ...about, err: error }, "connection failed");
    if (peer?.neighbour !== neighbour) return;
    this.#peers.delete(peer.id);
    this.#hinted.delete(peer.id);
    this.#stats.neighbours(this.#peers.size);
    this.#exchange.removePeer(peer);
    this.#dataServer.drop(peer.id);
    peer.close();
  }

  #offer(peer: Peer): void {
    const offer = this.#dataServer.offer(peer.id);
    if (offer === undefined) return;
    const { host, port } = this.#options.listen;
    peer.neighbour.send({ $case: "dataOffer", value: { host, port, ...offer } });
  }

  #ban(peer: Peer, why: string): void {
    this.#stats.banned();
    this.#log.warn({ peer: peer.membership.id, key: peer.id, why, ms: BAN_MS }, "peer banned");
    this.#discovery.ban(peer.neighbour.publicKey, BAN_MS);
    peer.neighbour.finish(new Error(why));
  }

  #sendPeerLists(): void {
    for (const peer of this.#peers.values()) this.#sendPeerList(peer);
  }

  #sendPeerList(to: Peer): void {
    const others = [...this.#peers.values()].filter(
      (peer) => peer !== to && (peer.cell === to.cell || peer.seeder || to.seeder),
    );
    const peers = sample(others, PEER_LIST_LENGTH).map((peer) => ({
      publicKey: peer.neighbour.publicKey,
      ...peer.neighbour.address,
    }));
    if (peers.length > 0) to.neighbour.send({ $case: "peerList", value: { peers } });
  }

  #onPeerList(from: Peer, { peers }: PeerList): void {
    if (peers.length > PEER_LIST_MAX) throw new ProtocolError(`a list of ${peers.length} peers`);
    const now = Date.now();
    if (now - (this.#hinted.get(from.id) ?? 0) < PEER_LIST_MS / 2) return;
    this.#hinted.set(from.id, now);
    for (const { publicKey, host, port } of peers) {
      const valid = publicKey.length === 32 && net.isIPv4(host) && port >= 1 && port <= 65_535;
      if (!valid) throw new ProtocolError("a peer that can't be reached");
      if (this.#peers.size >= this.#maxPeers) return;
      if (this.#peers.has(publicKey.toString("hex"))) continue;
      this.#discovery.hint(publicKey, { host, port }, this.#homeTopic);
    }
  }
}

function sample<T>(items: T[], count: number): T[] {
  const pool = [...items];
  for (let index = 0; index < Math.min(count, pool.length); index++) {
    const other = index + Math.floor(Math.random() * (pool.length - index));
    [pool[index], pool[other]] = [pool[other] as T, pool[index] as T];
  }
  return pool.slice(0, count);
}
