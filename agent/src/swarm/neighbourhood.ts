import { type PeerList, rawPublicKey } from "@slipway/proto";
import type { NoiseStream } from "hyperswarm";
import type { Logger } from "pino";
import type { AdmissionLimits } from "./admission-limits.js";
import { Discovery, cellTopic } from "./discovery.js";
import { type Control, FloodError, ProtocolError } from "./frames.js";
import { Hello } from "./hello.js";
import { MembershipError, membershipKeysOf, type SignedMembership } from "./membership.js";
import { type Link, Mesh } from "./mesh.js";
import { Neighbour } from "./neighbour.js";
import { BAN_MS, Offences } from "./offences.js";
import type { Peer } from "./peer.js";
import { type Named, choosePeers, readPeerList } from "./peer-lists.js";
import { RevokedError, checkRevoked } from "./revoked.js";
import type { StatsBook } from "./stats.js";
import type { SwarmOptions } from "./types.js";
import { steadyNow } from "../steady-now.js";

const TICK_MS = 1_000;
const SURPLUS_MS = 5_000;
const PEER_LIST_MS = 30_000;
/** Neighbours that change together are told of together. */
const CHANGED_MS = 2_000;

/** One of the two has no place for the other: nothing is wrong with it. */
class NoPlaceError extends Error {
  override readonly name = "NoPlaceError";
}

export interface NeighbourhoodOptions extends Pick<
  SwarmOptions,
  | "identity"
  | "membershipPublicKey"
  | "cell"
  | "neighbourCells"
  | "listen"
  | "bootstrap"
  | "revoked"
> {
  admission: AdmissionLimits;
  log: Logger;
  runBootstrap: boolean;
  maxPeers: number;
  stats: StatsBook;
  createPeer: (neighbour: Neighbour, membership: SignedMembership, cell: string) => Peer;
  onPeer: (peer: Peer) => void;
  /** Throws ProtocolError to end the connection. */
  onMessage: (peer: Peer, message: Control) => void;
  onGone: (peer: Peer) => void;
}

/** The peer's neighbours: finds them, checks that they are members, and keeps as many as it should. */
export class Neighbourhood {
  readonly #options: NeighbourhoodOptions;
  readonly #log: Logger;
  readonly #hello: Hello;
  readonly #mesh: Mesh;
  readonly #discovery: Discovery;
  readonly #offences = new Offences();
  readonly #connections = new Set<Neighbour>();
  readonly #peers = new Map<string, Peer>();
  /** Whether they still answer is being found out. */
  readonly #suspects = new Set<string>();
  readonly #timers: NodeJS.Timeout[] = [];
  #changed: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: NeighbourhoodOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#hello = new Hello(options);
    if (options.revoked !== undefined) this.#hello.revoked = checkRevoked(options.revoked);
    const { identity, listen, bootstrap, cell, neighbourCells = [], maxPeers } = options;
    const others = bootstrap.filter(
      ({ host, port }) => host !== listen.host || port !== listen.port,
    );
    this.#mesh = new Mesh({
      role: identity.role,
      cell,
      neighbourCells,
      maxPeers,
      seeders: others.length,
    });
    const topicKeys = membershipKeysOf(options.membershipPublicKey).topicKeys.map(rawPublicKey);
    this.#discovery = new Discovery({
      keyPair: { publicKey: identity.publicKey, secretKey: identity.secretKey },
      listen,
      bootstrap,
      runBootstrap: options.runBootstrap,
      topics: (wanted) => topicKeys.map((key) => cellTopic(key, identity.region, wanted)),
      log: options.log,
      admission: options.admission,
      onRefused: (reason) => options.stats.refused(reason),
      mood: (wanted) => this.#mesh.mood(wanted, steadyNow()),
      onFound: (candidate) => {
        if (candidate.publicKey.equals(identity.publicKey)) return;
        this.#mesh.found(candidate);
        this.#dial();
      },
      onConnection: (stream) => this.#onConnection(stream),
    });
  }

  /** Throws if the port is taken. */
  async start(): Promise<void> {
    await this.#discovery.start();
    const { cell, neighbourCells = [] } = this.#options;
    this.#discovery.join(cell, { announce: true });
    for (const other of neighbourCells) this.#discovery.join(other, { announce: false });
    const every = (ms: number, act: () => void): void => {
      this.#timers.push(setInterval(act, ms).unref());
    };
    every(TICK_MS, () => this.#tick());
    every(SURPLUS_MS, () => this.#dropSurplus());
    every(PEER_LIST_MS, () => this.#sendPeerLists());
  }

  joinCell(cell: string): void {
    this.#mesh.join(cell);
    this.#discovery.join(cell, { announce: true });
  }

  /** Connections that others made and that were not let in yet. */
  get strangers(): number {
    return this.#discovery.strangers;
  }

  get(id: string): Peer | undefined {
    return this.#peers.get(id);
  }

  /** Ends the connections with these, and takes none. Throws RangeError for too many. */
  setRevoked(ids: ReadonlySet<string>): void {
    this.#hello.revoked = checkRevoked(ids);
    for (const { membership, neighbour } of this.#peers.values()) {
      if (ids.has(membership.id)) neighbour.close(new RevokedError(`${membership.id} is revoked`));
    }
  }

  /** This peer's own certificate was renewed: those who know the old one hear of it. */
  setCertificate(certificate: Buffer): void {
    this.#hello.renew(certificate);
    for (const { neighbour } of this.#peers.values()) neighbour.send(this.#hello.sayRenewal());
  }

  /** It sent wrong bytes. */
  ban(peer: Peer, why: string): void {
    const ms = this.#offences.banMs(peer, steadyNow());
    this.#log.warn({ peer: peer.membership.id, key: peer.id, why, ms }, "peer banned");
    this.#shutOut(peer.neighbour, ms);
    peer.neighbour.finish(new Error(why));
  }

  /** Something of this peer ended of a sudden: finds out whether it did itself. */
  suspect(peer: Peer): void {
    const { id, neighbour } = peer;
    if (this.#closed || this.#suspects.has(id) || this.#peers.get(id) !== peer) return;
    this.#suspects.add(id);
    const asked = this.#discovery.ping(neighbour.address).then((alive) => {
      this.#suspects.delete(id);
      if (!alive) neighbour.close(new Error("it does not answer any more"));
    });
    asked.catch((error: unknown) => this.#log.error({ err: error }, "asking a peer failed"));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#changed);
    for (const neighbour of this.#connections) neighbour.close();
    await this.#discovery.close();
  }

  #shutOut({ publicKey }: Neighbour, ms: number): void {
    this.#options.stats.banned();
    this.#discovery.ban(publicKey, ms);
  }

  #onConnection(stream: NoiseStream): void {
    if (this.#closed || this.#discovery.banned(stream.remotePublicKey)) {
      stream.on("error", () => {});
      stream.destroy();
      return;
    }
    const neighbour = new Neighbour(stream, {
      onHello: (from, message) => {
        this.#onHello(from, message, stream.isInitiator);
        this.#discovery.letIn(stream);
      },
      onMessage: (from, message) => this.#onMessage(from, message),
      onClose: (from, error) => this.#onClose(from, error),
    });
    this.#connections.add(neighbour);
    // Who made the connection knows whose key this is; who is called says nothing to a stranger.
    if (stream.isInitiator) this.#sayHello(neighbour);
  }

  #sayHello(neighbour: Neighbour): void {
    neighbour.send(this.#hello.say(this.#mesh.homeNeighbours));
  }

  #onHello(neighbour: Neighbour, message: Control, isOwn: boolean): void {
    const greeting = this.#hello.hear(message, neighbour.publicKey, Date.now());
    const now = steadyNow();
    if (!isOwn) this.#sayHello(neighbour);
    const { membership, cell, neighbours } = greeting;
    const peer = this.#options.createPeer(neighbour, membership, cell);
    // A second connection with the same key: the first one's process has ended, or lost it.
    this.#peers.get(peer.id)?.neighbour.close();
    const link: Link = { id: peer.id, cell, seeder: peer.seeder, neighbours };
    const admission = this.#mesh.admit(link, now);
    if (admission.kind === "refuse") {
      this.#dismiss(peer);
      return;
    }
    const instead = this.#peers.get(admission.instead ?? "");
    if (instead !== undefined) this.#dismiss(instead);
    this.#peers.set(peer.id, peer);
    this.#mesh.found(named(peer), peer.id);
    this.#mesh.linked(link, now);
    this.#count();
    this.#options.onPeer(peer);
    this.#sendPeerList(peer);
    this.#log.debug({ peer: membership.id, neighbours: this.#peers.size }, "neighbour joined");
  }

  #onMessage(neighbour: Neighbour, message: Control): void {
    const peer = this.#peers.get(neighbour.id);
    if (peer?.neighbour !== neighbour) return;
    if (message.$case === "renewal") {
      peer.membership = this.#hello.hearRenewal(message.value, peer.membership, Date.now());
    } else if (message.$case === "peerList") this.#onPeerList(peer, message.value);
    else this.#options.onMessage(peer, message);
  }

  #onClose(neighbour: Neighbour, error: Error | undefined): void {
    this.#connections.delete(neighbour);
    const peer = this.#peers.get(neighbour.id);
    const about = { peer: peer?.membership.id, key: neighbour.id };
    if (error instanceof MembershipError) {
      this.#options.stats.membershipRefused();
      this.#options.stats.refused(error.fault);
      this.#log.warn({ ...about, reason: error.message }, "peer refused");
    } else if (error instanceof RevokedError) {
      this.#options.stats.revokedRefused();
      this.#options.stats.refused("revoked");
      this.#log.warn({ ...about, reason: error.message }, "peer refused");
      // It need not be heard out each time that it tries.
      this.#discovery.ban(neighbour.publicKey, BAN_MS);
    } else if (error instanceof ProtocolError) {
      this.#options.stats.protocolError();
      if (peer?.neighbour !== neighbour) this.#options.stats.refused("no_hello");
      this.#log.warn({ ...about, err: error }, "peer broke the protocol");
      if (error instanceof FloodError) this.#shutOut(neighbour, BAN_MS);
    } else if (error !== undefined) this.#log.debug({ ...about, err: error }, "connection ended");
    if (peer?.neighbour !== neighbour) return;
    this.#peers.delete(peer.id);
    const refused = error instanceof NoPlaceError;
    this.#mesh.unlinked(peer.id, refused, steadyNow());
    this.#count();
    this.#options.onGone(peer);
    peer.close();
    if (this.#closed) return;
    this.#dial();
    if (!refused && this.#mesh.mood(peer.cell, steadyNow()) !== "enough") this.#discovery.lookNow();
  }

  #tick(): void {
    const now = Date.now();
    for (const { membership, neighbour } of this.#peers.values()) {
      const fault = this.#hello.fault(membership, now);
      if (fault !== undefined) neighbour.close(fault);
    }
    this.#dial();
  }

  #dial(): void {
    if (this.#closed) return;
    for (const candidate of this.#mesh.dials(steadyNow())) this.#discovery.dial(candidate);
  }

  #dropSurplus(): void {
    for (const id of this.#mesh.surplus(steadyNow())) {
      const peer = this.#peers.get(id);
      if (peer !== undefined) this.#dismiss(peer);
    }
  }

  /** No place for it: but it hears where there may be one. */
  #dismiss(peer: Peer): void {
    this.#log.debug({ peer: peer.membership.id }, "no place for it");
    this.#sendPeerList(peer, true);
    peer.neighbour.finish(new NoPlaceError("no place for it"));
  }

  #count(): void {
    const peers = [...this.#peers.values()];
    const home = this.#mesh.homeNeighbours;
    const seeders = peers.filter(({ seeder }) => seeder).length;
    this.#options.stats.neighbours(peers.length, home, seeders);
    if (this.#closed) return;
    this.#changed ??= setTimeout(() => {
      this.#changed = undefined;
      this.#sendPeerLists();
    }, CHANGED_MS).unref();
  }

  #sendPeerLists(): void {
    for (const peer of this.#peers.values()) this.#sendPeerList(peer);
  }

  #sendPeerList(to: Peer, leaving = false): void {
    const neighbours = [...this.#peers.values()].map(named);
    const peers = choosePeers(named(to), neighbours, this.#options.cell, Math.random);
    const value = { peers, neighbours: this.#mesh.homeNeighbours, leaving };
    to.neighbour.send({ $case: "peerList", value });
  }

  #onPeerList(from: Peer, list: PeerList): void {
    this.#mesh.told(from.id, list.neighbours);
    for (const candidate of readPeerList(list)) {
      if (candidate.publicKey.equals(this.#options.identity.publicKey)) continue;
      this.#mesh.found(candidate, from.id);
    }
    if (list.leaving) from.neighbour.close(new NoPlaceError("it has no place for this one"));
    else this.#dial();
  }
}

function named({ id, neighbour, cell, seeder }: Peer): Named {
  const { publicKey, address } = neighbour;
  return { id, publicKey, address, cell, seeder };
}
