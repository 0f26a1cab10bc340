import type { Artifact } from "../artifact.js";
import type { RackNetwork } from "./network.js";

export interface Course {
  network: RackNetwork;
  /** Namespaces 1 to this many; the seeder's is 0. */
  hosts: number;
  /** A namespace whose link has no rate. */
  service: number;
  artifact: Artifact;
  /** Another, to spread before the start. */
  warm: Artifact | undefined;
  /** For files; emptied afterwards. */
  dir: string;
  signal: AbortSignal;
}

/** Processes that stand ready: the clock has not started. */
export interface LineUp {
  /** Of those that are to finish. */
  hosts: readonly number[];
  /**
   * Starts. `startedAt` by Date.now: no later than the first byte of the artifact's content moves;
   * `ends`: when each host had all of it, verified and written.
   */
  go(): Promise<{ startedAt: number; ends: Promise<number>[] }>;
  /** Throws unless every host has the right bytes; called after everything is measured. */
  check?(): Promise<void>;
  end(): Promise<void>;
}

/** A program that spreads a file. */
export interface Contender {
  lineUp(course: Course): Promise<LineUp>;
}
