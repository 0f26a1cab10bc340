import net from "node:net";
import { NAME_PATTERN } from "@slipway/proto";
import { pino } from "pino";
import { ADMISSION_LIMITS } from "./admission-limits.js";
import { BufferPool } from "./buffers.js";
import { ChunkSender } from "./chunk-sender.js";
import { DataServer } from "./data-server.js";
import { Exchange } from "./exchange.js";
import type { Control } from "./frames.js";
import { Giver } from "./giver.js";
import { Library } from "./library.js";
import { Neighbourhood } from "./neighbourhood.js";
import { Peer } from "./peer.js";
import { checkTarget, saveFile } from "./save-file.js";
import { SeededFiles } from "./seeded-files.js";
import { StatsBook } from "./stats.js";
import { SwarmClosedError } from "./swarm-closed-error.js";
import type {
  FetchOptions,
  FetchProgress,
  SeededFile,
  Swarm,
  SwarmOptions,
  SwarmStats,
  PartialArtifact,
  PartialShare,
} from "./types.js";

const MAX_PEERS = { host: 10, region: 64 };
/** Data connections: two for each neighbour that a peer may have. */
const CONNECTIONS_PER_PEER = 4;
const CONNECTIONS_MORE = 64;

/**
 * Becomes a member of the region's swarm. Throws if an address is not IPv4, a cell is no name, a cap
 * is no rate, too many are revoked, or the port is taken.
 */
export async function join(options: SwarmOptions): Promise<Swarm> {
  for (const { host } of [options.listen, ...options.bootstrap]) {
    if (!net.isIPv4(host) || host === "0.0.0.0") throw new Error(`not an IPv4 address: ${host}`);
  }
  for (const cell of [options.cell, ...(options.neighbourCells ?? [])]) {
    if (!NAME_PATTERN.test(cell)) throw new Error(`not the name of a cell: ${cell}`);
  }
  for (const cap of [options.maxUploadBytesPerSecond, options.maxDownloadBytesPerSecond]) {
    if (cap !== undefined && !(cap > 0)) throw new Error(`not a number of bytes a second: ${cap}`);
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
  readonly #stats = new StatsBook(() => this.#dataServer.waiting + this.#neighbourhood.strangers);
  readonly #files: SeededFiles;
  readonly #library: Library;
  readonly #dataServer: DataServer;
  readonly #exchange: Exchange;
  readonly #sender: ChunkSender;
  readonly #neighbourhood: Neighbourhood;
  #closed: Promise<void> | undefined;

  constructor(options: SwarmOptions) {
    const { identity, listen, encryption = "tls-psk", log = pino({ level: "silent" }) } = options;
    const maxPeers = options.maxPeers ?? MAX_PEERS[identity.role];
    const stats = this.#stats;
    const admission = { ...ADMISSION_LIMITS, ...options.admission };
    const buffers = new BufferPool();
    this.#options = options;
    this.#files = new SeededFiles(options.source);
    this.#library = new Library(this.#files);
    const giver = identity.role === "region" ? new Giver() : undefined;
    this.#sender = new ChunkSender({
      library: this.#library,
      buffers,
      giver,
      maxBytesPerSecond: options.maxUploadBytesPerSecond,
      log,
      onSent: (bytes: number) => stats.sent(bytes),
    });
    this.#exchange = new Exchange({
      library: this.#library,
      buffers,
      stats,
      giver,
      maxDownloadBytesPerSecond: options.maxDownloadBytesPerSecond,
      log,
      ban: (peer, why) => this.#neighbourhood.ban(peer, why),
      suspect: (peer) => this.#neighbourhood.suspect(peer),
      onDamaged: (digest) => options.onDamaged?.(digest),
    });
    this.#dataServer = new DataServer({
      listen,
      encryption,
      maxConnections: maxPeers * CONNECTIONS_PER_PEER + CONNECTIONS_MORE,
      strangers: admission.data,
      onRefused: (reason) => stats.refused(reason),
      sender: this.#sender,
      log,
      serves: (id) => this.#neighbourhood.get(id) !== undefined,
      onProtocolError: (id, error) => this.#neighbourhood.get(id)?.neighbour.close(error),
      onClosed: (id) => {
        const peer = this.#neighbourhood.get(id);
        if (peer !== undefined) this.#neighbourhood.suspect(peer);
      },
    });
    this.#neighbourhood = new Neighbourhood({
      ...options,
      admission,
      log,
      runBootstrap: options.runBootstrap ?? false,
      maxPeers,
      stats,
      createPeer: (neighbour, membership, cell) =>
        new Peer(neighbour, membership, cell, {
          encryption,
          buffers,
          events: this.#exchange.peerEvents,
          sender: this.#sender,
        }),
      onPeer: (peer) => this.#exchange.addPeer(peer),
      onMessage: (peer, message) => this.#onMessage(peer, message),
      onGone: (peer) => this.#onGone(peer),
    });
  }

  get stats(): Readonly<SwarmStats> {
    return this.#stats.view;
  }

  async start(): Promise<void> {
    await this.#dataServer.listen();
    await this.#neighbourhood.start();
  }

  joinCell(cell: string): void {
    this.#neighbourhood.joinCell(cell);
  }

  setRevoked(ids: ReadonlySet<string>): void {
    this.#neighbourhood.setRevoked(ids);
  }

  setCertificate(certificate: Buffer): void {
    this.#neighbourhood.setCertificate(certificate);
  }

  announce(digest: string): void {
    this.#exchange.announce(digest);
  }

  async seed(path: string, options: { signal?: AbortSignal } = {}): Promise<SeededFile> {
    this.#checkOpen();
    const { digest, sizeBytes } = await this.#files.add(path, options.signal);
    this.#checkOpen();
    this.announce(digest);
    let shared = true;
    const unseed = (): void => {
      if (!shared) return;
      shared = false;
      if (!this.#files.remove(digest)) return;
      this.#library.forget(digest);
      this.announce(digest);
    };
    return { digest, sizeBytes, unseed };
  }

  share(artifact: PartialArtifact): PartialShare {
    return this.#exchange.share(artifact);
  }

  async *fetch(digest: string, options: FetchOptions): AsyncGenerator<FetchProgress, void, void> {
    const { store, to } = options;
    if (to !== undefined) await checkTarget(to);
    yield* this.#exchange.fetch(digest, options);
    if (to !== undefined) await saveFile(store, digest, to);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#exchange.close();
    this.#sender.stop();
    await Promise.allSettled([this.#dataServer.close(), this.#neighbourhood.close()]);
    await this.#library.close();
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw new SwarmClosedError("the swarm is closed");
  }

  #onMessage(peer: Peer, message: Control): void {
    if (message.$case === "dataRequest") this.#offer(peer);
    else this.#exchange.accept(peer, message);
  }

  #onGone(peer: Peer): void {
    this.#exchange.removePeer(peer);
    this.#dataServer.drop(peer.id);
  }

  #offer(peer: Peer): void {
    const offer = this.#dataServer.offer(peer.id);
    if (offer === undefined) return;
    const { host, port } = this.#options.listen;
    peer.neighbour.send({ $case: "dataOffer", value: { host, port, ...offer } });
  }
}
