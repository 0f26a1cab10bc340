import { RateMeter } from "./rate.js";
import { type RefusalReason, noRefusals } from "./refusals.js";
import type { SwarmStats } from "./types.js";

/** The swarm's counters; the one who owns a thing counts it here. */
export class StatsBook {
  readonly #received = new RateMeter();
  readonly #sent = new RateMeter();
  readonly #refused = noRefusals();
  readonly view: SwarmStats;

  /** `strangers`: how many there are now. */
  constructor(strangers: () => number = () => 0) {
    const received = this.#received;
    const sent = this.#sent;
    this.view = {
      neighbours: 0,
      homeNeighbours: 0,
      seederNeighbours: 0,
      get strangers() {
        return strangers();
      },
      bytesFromPeers: 0,
      bytesFromSeeders: 0,
      bytesFromLocal: 0,
      bytesFromReuse: 0,
      bytesSent: 0,
      get receiveRate() {
        return received.read(performance.now());
      },
      get sendRate() {
        return sent.read(performance.now());
      },
      hedges: 0,
      timeouts: 0,
      duplicateBytes: 0,
      verifyFailures: 0,
      bans: 0,
      membershipRefusals: 0,
      revokedRefusals: 0,
      protocolErrors: 0,
      fallbackChunks: 0,
      refused: this.#refused,
    };
  }

  received(bytes: number, seeder: boolean, fallback: boolean): void {
    if (seeder) this.view.bytesFromSeeders += bytes;
    else this.view.bytesFromPeers += bytes;
    if (fallback) this.view.fallbackChunks++;
    this.#received.add(bytes, performance.now());
  }

  sent(bytes: number): void {
    this.view.bytesSent += bytes;
    this.#sent.add(bytes, performance.now());
  }

  local(bytes: number): void {
    this.view.bytesFromLocal += bytes;
  }

  reused(bytes: number): void {
    this.view.bytesFromReuse += bytes;
  }

  scheduled(counters: { hedges: number; timeouts: number; duplicateBytes: number }): void {
    Object.assign(this.view, counters);
  }

  neighbours(all: number, home: number, seeders: number): void {
    this.view.neighbours = all;
    this.view.homeNeighbours = home;
    this.view.seederNeighbours = seeders;
  }

  verifyFailed(): void {
    this.view.verifyFailures++;
  }

  banned(): void {
    this.view.bans++;
  }

  membershipRefused(): void {
    this.view.membershipRefusals++;
  }

  revokedRefused(): void {
    this.view.revokedRefusals++;
  }

  refused(reason: RefusalReason): void {
    this.#refused[reason]++;
  }

  protocolError(): void {
    this.view.protocolErrors++;
  }
}
