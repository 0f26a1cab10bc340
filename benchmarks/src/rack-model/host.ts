import {
  type Ask,
  Bitfield,
  type BoundRequest,
  type ChunkSizes,
  Giver,
  Scheduler,
  Uplink,
  type UplinkRequest,
  type Withdraw,
} from "@slipway/agent/swarm/policies";
import { ChunkRefusal_Reason as Reason } from "@slipway/proto";
import type { VirtualClock } from "./clock.js";
import type { Network, Port } from "./network.js";

/** The one artifact of the model. */
const ARTIFACT = "artifact";
/** What happens soon, once for all that happened meanwhile: a turn of the event loop. */
const SOON_MS = 0.2;
const READ_MS = 0.5;
const STORE_MS = 2;
const TICK_MS = 100;
/** As the agent's announcer does. */
const HAVE_BATCH_MS = 80;
const HAVE_BATCH_CHUNKS = 8;
/** The other end of a connection is told so soon that a process is gone. */
const GONE_MS = 50;

export interface HostOptions {
  clock: VirtualClock;
  network: Network;
  port: Port;
  id: string;
  seeder: boolean;
  /** It has everything from the start; a seeder does anyway. */
  whole?: boolean;
  sizes: ChunkSizes;
  random: () => number;
  /** Takes requests and never answers. */
  mute?: boolean;
  onDone: (host: Host) => void;
}

/** Drives the swarm's real policies with the model's clock and links. */
export class Host {
  readonly id: string;
  readonly seeder: boolean;
  readonly port: Port;
  readonly scheduler: Scheduler;
  doneAt: number | undefined;
  alive = true;
  receivedBytes = 0;
  readonly #options: HostOptions;
  readonly #uplink = new Uplink();
  readonly #giver: Giver;
  readonly #have: Bitfield;
  readonly #neighbours = new Map<string, Host>();
  #news: number[] = [];
  #scheduled = false;
  #wakeAt = Infinity;

  constructor(options: HostOptions) {
    this.#options = options;
    this.id = options.id;
    this.seeder = options.seeder;
    this.port = options.port;
    this.scheduler = new Scheduler({ random: options.random });
    this.#giver = new Giver(options.random);
    this.#have = new Bitfield(options.sizes.chunkCount);
    if (!this.seeder && options.whole !== true) return;
    for (let chunk = 0; chunk < this.#have.size; chunk++) this.#have.set(chunk);
  }

  get neighbours(): number {
    return this.#neighbours.size;
  }

  isNeighbour(other: Host): boolean {
    return this.#neighbours.has(other.id);
  }

  /** Both have the other as a neighbour, interested in what it has. */
  connect(other: Host): void {
    this.#neighbours.set(other.id, other);
    other.#neighbours.set(this.id, this);
  }

  start(): void {
    const { clock, sizes } = this.#options;
    this.scheduler.addDownload(ARTIFACT, sizes, this.#have.copy());
    for (const other of this.#neighbours.values()) {
      if (!other.alive) continue;
      this.scheduler.addPeer(other.id, other.seeder);
      this.scheduler.setHolding(other.id, ARTIFACT, other.seeder ? "all" : other.#have.copy());
      if (other.seeder) other.#giver.setHolding(this.id, ARTIFACT, sizes.chunkCount, this.#have);
    }
    const tick = (): void => {
      if (!this.alive || this.doneAt !== undefined) return;
      this.#withdraw(this.scheduler.expire(clock.now));
      this.#schedule();
      clock.in(TICK_MS, tick);
    };
    tick();
  }

  /** Its process dies; neighbours see their connections close. */
  die(): void {
    this.alive = false;
    for (const other of this.#neighbours.values()) {
      this.#options.network.cut(this.port, other.port);
      this.#options.clock.in(GONE_MS, () => other.#lost(this));
    }
  }

  #lost(other: Host): void {
    this.scheduler.removePeer(other.id);
    this.#uplink.removeLink(other.id);
    this.#giver.removePeer(other.id);
    this.#neighbours.delete(other.id);
    this.#pump();
    this.#schedule();
  }

  #tell(other: Host, message: () => void): void {
    this.#options.network.tell(() => {
      if (other.alive && other.isNeighbour(this)) message();
    });
  }

  // What is fetched.

  #schedule(): void {
    if (this.#scheduled || this.doneAt !== undefined || !this.alive || this.seeder) return;
    const { clock } = this.#options;
    this.#scheduled = true;
    clock.in(SOON_MS, () => {
      this.#scheduled = false;
      for (const ask of this.scheduler.next(clock.now)) this.#ask(ask);
      const at = this.scheduler.wakeAt(clock.now);
      if (at !== undefined) clock.at(at, () => this.#schedule());
    });
  }

  #ask({ peer, request }: Ask): void {
    const other = this.#neighbours.get(peer);
    const { id: requestId, chunk, priority } = request;
    if (other === undefined) return;
    this.#tell(other, () =>
      other.#onRequest({ link: this.id, requestId, digest: ARTIFACT, chunk, priority }),
    );
  }

  #withdraw(withdrawn: readonly Withdraw[]): void {
    for (const { peer, requestId } of withdrawn) {
      const other = this.#neighbours.get(peer);
      if (other !== undefined) this.#tell(other, () => other.#uplink.cancel(this.id, requestId));
    }
  }

  #onBegin(from: Host, requestId: number, chunk: number): void {
    const expected = this.scheduler.begins(from.id, requestId, chunk, this.#options.clock.now);
    if (expected === undefined) throw new Error(`${this.id} never asked ${from.id} for ${chunk}`);
  }

  #onChunk(from: Host, requestId: number, bytes: number): void {
    const { clock } = this.#options;
    this.receivedBytes += bytes;
    this.#tell(from, () => {
      from.#uplink.received(this.id, requestId, clock.now);
      from.#pump();
    });
    const arrived = this.scheduler.arrived(from.id, requestId, clock.now);
    if (arrived === undefined) return;
    this.#withdraw(arrived.withdraw);
    clock.in(STORE_MS, () => this.#store(arrived.request));
    this.#schedule();
  }

  #store(request: BoundRequest): void {
    this.scheduler.stored(request);
    this.#have.set(request.chunk);
    if (this.#news.length === 0) this.#options.clock.in(HAVE_BATCH_MS, () => this.#announce());
    this.#news.push(request.chunk);
    if (this.#news.length >= HAVE_BATCH_CHUNKS) this.#announce();
    this.#schedule();
    if (!this.scheduler.isDone(ARTIFACT) || this.doneAt !== undefined) return;
    this.doneAt = this.#options.clock.now;
    this.#withdraw(this.scheduler.removeDownload(ARTIFACT));
    for (const other of this.#neighbours.values()) {
      this.#tell(other, () => other.#giver.removeInterest(this.id, ARTIFACT));
    }
    this.#options.onDone(this);
  }

  #announce(): void {
    const news = this.#news;
    this.#news = [];
    if (!this.alive || news.length === 0) return;
    for (const other of this.#neighbours.values()) {
      if (other.doneAt !== undefined) continue;
      this.#tell(other, () => {
        if (other.seeder) other.#giver.addHave(this.id, ARTIFACT, news);
        else {
          other.scheduler.addHave(this.id, ARTIFACT, news);
          other.#schedule();
        }
      });
    }
  }

  // What is sent.

  #onRequest(request: UplinkRequest): void {
    if (this.#options.mute === true) return;
    const { link, requestId } = request;
    if (this.#uplink.add(request)) this.#pump();
    else this.#refuse(link, requestId, Reason.BUSY);
  }

  #pump(): void {
    const { clock } = this.#options;
    if (!this.alive) return;
    for (const request of this.#uplink.next(clock.now)) {
      clock.in(READ_MS, () => this.#serve(request));
    }
    const at = this.#uplink.wakeAt(clock.now);
    if (at === undefined || at >= this.#wakeAt) return;
    this.#wakeAt = at;
    clock.at(at, () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = Infinity;
      this.#pump();
    });
  }

  #serve({ link, requestId, chunk: wanted }: UplinkRequest): void {
    const { clock, sizes, network } = this.#options;
    const other = this.#neighbours.get(link);
    if (other === undefined || !this.alive) return;
    const chunk = wanted === "any" ? this.#giver.pick(link, ARTIFACT, sizes.chunkCount) : wanted;
    if (chunk === undefined || !this.#have.has(chunk)) {
      this.#uplink.dropped(link, requestId, clock.now);
      this.#refuse(link, requestId, chunk === undefined ? Reason.NOTHING_NEW : Reason.NOT_HELD);
      this.#pump();
      return;
    }
    const size = sizes.sizeOf(chunk);
    this.#uplink.sending(link, requestId, chunk, size, clock.now);
    const still = (): boolean => other.alive && other.isNeighbour(this);
    network.send(this.port, other.port, size, {
      onFirst: () => still() && other.#onBegin(this, requestId, chunk),
      onPiece: (bytes) => still() && other.scheduler.progress(this.id, bytes, clock.now),
      onWhole: () => still() && other.#onChunk(this, requestId, size),
    });
    this.#pump();
  }

  #refuse(link: string, requestId: number, reason: Reason): void {
    const other = this.#neighbours.get(link);
    if (other === undefined) return;
    this.#tell(other, () => {
      other.scheduler.refused(this.id, requestId, reason, this.#options.clock.now);
      other.#schedule();
    });
  }
}
