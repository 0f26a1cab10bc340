import type { KeyObject } from "node:crypto";
import type { Logger } from "pino";
import type { Bitfield } from "../store/bitfield.js";
import type { Manifest } from "../store/manifest.js";
import type { ArtifactStore } from "../store/types.js";
import type { AdmissionLimits } from "./admission-limits.js";
import type { Identity } from "./identity.js";
import type { MembershipKeys } from "./membership.js";
import type { Priority } from "./priority.js";
import type { RefusalReason } from "./refusals.js";

export interface Address {
  /** An IPv4 address. */
  host: string;
  port: number;
}

/** An artifact that is here, whole and verified. */
export interface ReadableArtifact {
  readonly manifestBytes: Buffer;
  readonly sizeBytes: number;
  /** Fills the first `length` bytes of `into` with the artifact's from `offset` on, or throws. */
  read(offset: number, length: number, into: Buffer): Promise<void>;
  /** May be called twice. */
  close(): Promise<void>;
}

/** Where the swarm finds the artifacts that it may share. */
export interface ArtifactSource {
  /** Undefined if the artifact is not here, whole. */
  open(digest: string): Promise<ReadableArtifact | undefined>;
}

/** How chunks are protected on their way. The control stream is always encrypted. */
export type Encryption = "tls-psk" | "none";

export interface SwarmOptions {
  /** Who this is; from readIdentity. Names its region and role. */
  identity: Identity;
  /**
   * The Ed25519 key that signs membership certificates; readPublicKey reads one from a file. Or several
   * that come and go: who was certified by one that holds no more loses its connections within seconds.
   */
  membershipPublicKey: KeyObject | MembershipKeys;
  /**
   * The home cell, whose members are this one's neighbours: 1 to 63 lower-case letters, digits and
   * inner hyphens. Further ones: Swarm.joinCell.
   */
  cell: string;
  /**
   * Cells into which this one keeps two links each, so that artifacts come from there when the home
   * cell has nobody who gives them. Default: none.
   */
  neighbourCells?: readonly string[];
  /** Where this peer is reached: DHT on UDP and chunks on TCP, same number. Host is no wildcard. */
  listen: Address;
  /** The region's bootstrap nodes; itself may be among them. */
  bootstrap: readonly Address[];
  /** Be one of the region's bootstrap nodes (region agents). Default: false. */
  runBootstrap?: boolean;
  /** Artifacts that this peer shares, beside the files that it seeds; a store is one. Default: none. */
  source?: ArtifactSource;
  /** What Swarm.setRevoked is told first. Default: none. */
  revoked?: ReadonlySet<string>;
  /** Default: silent. */
  log?: Logger;
  /** This disk's copy of an artifact turned out wrong: it is not shared until announced again. */
  onDamaged?: (digest: string) => void;
  /** Default: "tls-psk". */
  encryption?: Encryption;
  /**
   * A host: neighbours that it keeps in its home cell; it looks for more when there are 2 fewer, and
   * takes up to 2 more. Default: 10. A region agent: neighbours in all its cells together, in equal
   * shares of 8 or more. Default: 64.
   */
  maxPeers?: number;
  /** What those may cost who have not shown a certificate. Default: ADMISSION_LIMITS. */
  admission?: Partial<AdmissionLimits>;
  /** Bytes a second of chunks sent, to all neighbours together. Default: no limit. */
  maxUploadBytesPerSecond?: number | undefined;
  /** Bytes a second of chunks fetched, of all artifacts together. Default: no limit. */
  maxDownloadBytesPerSecond?: number | undefined;
}

/** Bytes, of the artifact's. fromPeers + fromSeeders + fromLocal + fromReuse = bytesDone. */
export interface FetchProgress {
  bytesDone: number;
  /** 0 until its manifest is here. */
  total: number;
  fromPeers: number;
  fromSeeders: number;
  /** Already on disk when the fetch started. */
  fromLocal: number;
  /** Copied from other artifacts in the store, or from equal chunks of this one. */
  fromReuse: number;
}

export interface FetchOptions {
  /** Where it goes. Fetches of one artifact share the store that the first one named. */
  store: ArtifactStore;
  signal: AbortSignal;
  /**
   * Higher ones go first, here and at those who send. Of several fetches of one artifact the
   * highest counts, until it is here. Default: "normal".
   */
  priority?: Priority;
  /**
   * In the end the artifact is put at this path as a plain file, whole or not at all; an older file
   * there is replaced, and nothing else is. Default: it stays in the store, whose `path` tells where.
   */
  to?: string;
}

/** A file that is shared; from Swarm.seed. */
export interface SeededFile {
  /** By this name others fetch it: "sha256:" and 64 hex digits, of its manifest. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** Shares it no more; chunks on their way still get there. May be called twice. */
  unseed(): void;
}

/** Counters since the start, and gauges. */
export interface SwarmStats {
  /** Neighbours that said a valid hello. */
  neighbours: number;
  /** Those that are hosts of this one's home cell. */
  homeNeighbours: number;
  /** Those that are region agents. */
  seederNeighbours: number;
  /** Connections whose other ends have not shown yet that they are let in. */
  strangers: number;
  /** Of verified chunks. */
  bytesFromPeers: number;
  bytesFromSeeders: number;
  bytesFromLocal: number;
  bytesFromReuse: number;
  /** Of chunks handed to the network. */
  bytesSent: number;
  /** Bytes a second of verified chunks, over the last seconds. */
  receiveRate: number;
  sendRate: number;
  /** Chunks asked of a second peer while a first one still owed them. */
  hedges: number;
  /** Requests given up for lateness. */
  timeouts: number;
  verifyFailures: number;
  bans: number;
  /** Connections dropped for want of a valid membership certificate. */
  membershipRefusals: number;
  /** Connections refused, or ended, as the other end's id is revoked. */
  revokedRefusals: number;
  /** Connections dropped for breaking the protocol. */
  protocolErrors: number;
  /** What was refused of those who had not shown a certificate that holds, by why. */
  refused: Readonly<Record<RefusalReason, number>>;
  /** Bytes of chunks that came once more than they were needed. */
  duplicateBytes: number;
  /** Chunks that came over the control stream. */
  fallbackChunks: number;
}

/** An artifact that is being written here, by somebody else than the swarm. */
export interface PartialArtifact {
  readonly digest: string;
  readonly manifest: Manifest;
  /** Chunks that may be read; a live view. */
  readonly have: Bitfield;
  /** Fills the first bytes of `into` with a chunk that is here, or throws. */
  readChunk(index: number, into: Buffer): Promise<void>;
}

/** A partial artifact that is shared; from Swarm.share. */
export interface PartialShare {
  /** A chunk came in: the neighbours are told. */
  chunk(index: number): void;
  /** Shares it no more, or from the source if that has it whole now. May be called twice. */
  end(): void;
}

export interface Swarm {
  readonly stats: Readonly<SwarmStats>;
  /** Also be a neighbour of this cell's members; region agents are of every cell. Idempotent. */
  joinCell(cell: string): void;
  /**
   * From now on the members with exactly these ids, of certificates, are none: connections with them
   * end at once, and none are taken. Of one that tries again no more than once a minute is heard out.
   * The set is kept, not copied. A member that is itself among them is to close its swarm. Throws
   * RangeError for more than 100,000.
   */
  setRevoked(ids: ReadonlySet<string>): void;
  /**
   * This member's certificate was renewed: neighbours go by the new one from now on, and so do
   * connections that are made later. The same key, id, region and role as before.
   */
  setCertificate(certificate: Buffer): void;
  /** The source has this artifact now: tells the neighbours that asked for it. */
  announce(digest: string): void;
  /**
   * Shares a file where it is, until it is unseeded or the swarm is closed. Reads all of it once,
   * to hash it. It must not change; one that did is not shared any more. Throws the
   * signal's reason, NotAFileError, FileChangedError, ManifestError for an empty file,
   * SwarmClosedError, or what reading throws.
   */
  seed(path: string, options?: { signal?: AbortSignal }): Promise<SeededFile>;
  /** Shares an artifact while it is being written, as far as it is there. */
  share(artifact: PartialArtifact): PartialShare;
  /**
   * Gets an artifact into the store: yields progress at most 4 times a second, and ends when the
   * artifact is complete there. As long as nobody has it, it waits for somebody who does; end it
   * with the signal. Throws the signal's reason, StoreFullError (fetched again once there is room, it
   * goes on where it was), ManifestError for a digest that is none, SaveFileError if it can't be put
   * where it was to go, SwarmClosedError, or what the store throws.
   */
  fetch(digest: string, options: FetchOptions): AsyncIterable<FetchProgress>;
  /**
   * Ends fetches with SwarmClosedError, leaves, closes connections; within about 2 s. May be called
   * twice.
   */
  close(): Promise<void>;
}
