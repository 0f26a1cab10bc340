import {
  HOST_LABEL_PATTERN,
  HOST_LABEL_VALUE_MAX,
  HOST_MAX_LABELS,
  HostStatus,
  incarnationOf,
  NAME_PATTERN,
  type AgentProcess,
  type EnrolledHost,
  type HostApplicationStatus,
} from "@slipway/proto";
import { HostTwins } from "./host-twins.js";
import { SILENT_MS, type KnownHost } from "./known-host.js";

/** Hosts that a region may have: beyond it, new ones are dropped and counted. */
const MAX_HOSTS = 200_000;
const MAX_MESSAGE_BYTES = 1024 * 1024;
/**
 * A message that was overtaken comes this soon after the one that did. What comes later and says an
 * earlier time is of a host whose clock was set back: without it that host would be silent for as long.
 */
const OVERTAKEN_MS = 5_000;
/** Hosts that become silent at one look, so that a whole region's silence does not take seconds. */
const MAX_SILENCED = 10_000;

interface Row extends KnownHost {
  enrolment: EnrolledHost;
  enrolled: boolean;
  silent: boolean;
  /** Milliseconds on the clock that `now` is of; undefined if never heard. */
  heardAt: number | undefined;
  /** What it said last, as it came: decoded ones take several times the memory. */
  said: SaidWhen | undefined;
  applications: ReadonlyMap<string, HostApplicationStatus>;
}

interface SaidWhen {
  bytes: Uint8Array;
  time: number;
  incarnation: string;
}

/**
 * What of a host is another now: whether it is enrolled and with which labels; whether it is heard;
 * or what it says of these applications alone.
 */
export type HostChange = "enrolment" | "silence" | readonly string[];
type HostListener = (host: KnownHost, change: HostChange) => void;

/**
 * What the region's hosts said last, in memory. Only enrolled hosts are counted; ones that were
 * just heard for the first time wait to be enrolled.
 */
export class HostTable {
  readonly stats = { messages: 0, dropped: 0, decommissioned: 0 };
  readonly #region: string;
  readonly #rows = new Map<string, Row>();
  readonly #unenrolled = new Map<string, EnrolledHost>();
  readonly #decommissioned = new Set<string>();
  readonly #cells = new Map<string, number>();
  readonly #twins = new HostTwins();
  readonly #listeners: HostListener[] = [];

  constructor(region: string) {
    this.#region = region;
  }

  /** Calls the listener after every change that counts may depend on. */
  onChange(listener: HostListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Takes what was published under a host's subject. The answer is undefined if it was taken, else
   * why it was dropped.
   */
  hear(subjectHost: string, bytes: Uint8Array, now: number): string | undefined {
    this.stats.messages += 1;
    const dropped = this.#take(subjectHost, bytes, now);
    if (dropped !== undefined) this.stats.dropped += 1;
    return dropped;
  }

  /** Hosts that are persisted as the region's. */
  enrol(hosts: readonly EnrolledHost[]): void {
    for (const enrolment of hosts) {
      const { hostId } = enrolment;
      this.#decommissioned.delete(hostId);
      const row = this.#rows.get(hostId) ?? this.#add(enrolment);
      const same = sameEnrolment(row.enrolment, enrolment);
      // What the host itself says is newer than what is persisted.
      if (row.said !== undefined && !same) this.#unenrolled.set(hostId, row.enrolment);
      else this.#unenrolled.delete(hostId);
      if (row.enrolled && (same || row.said !== undefined)) continue;
      row.enrolled = true;
      if (row.said === undefined) this.#move(row, enrolment);
      this.#changed(row, "enrolment");
    }
  }

  /** Forgets the enrolled hosts that are not among these any more: all that are persisted. */
  retain(hostIds: ReadonlySet<string>): number {
    const gone = [...this.#rows.values()].filter(
      ({ enrolled, enrolment }) => enrolled && !hostIds.has(enrolment.hostId),
    );
    for (const row of gone) this.#drop(row);
    return gone.length;
  }

  /** Taken out of the fleet for good: not enrolled again, whatever they say. */
  decommission(hostIds: readonly string[]): void {
    for (const hostId of hostIds) {
      this.#decommissioned.add(hostId);
      const row = this.#rows.get(hostId);
      if (row !== undefined) this.#drop(row);
    }
  }

  /** Up to `max` hosts that are new, or have other labels than are persisted. */
  toEnrol(max: number): EnrolledHost[] {
    const hosts: EnrolledHost[] = [];
    for (const host of this.#unenrolled.values()) {
      if (hosts.length === max) break;
      hosts.push(host);
    }
    return hosts;
  }

  /** All enrolled hosts. */
  *enrolled(): Generator<KnownHost> {
    for (const row of this.#rows.values()) if (row.enrolled) yield row;
  }

  /** Notices hosts that have become silent; of very many the rest the next time. */
  sweep(now: number): void {
    let left = MAX_SILENCED;
    for (const row of this.#rows.values()) {
      if (row.silent || !isSilent(row, now)) continue;
      if (left === 0) return;
      left -= 1;
      row.silent = true;
      this.#changed(row, "silence");
    }
  }

  counts(now: number): { hosts: number; silent: number; unheard: number } {
    const counts = { hosts: 0, silent: 0, unheard: 0 };
    for (const row of this.#rows.values()) {
      if (!row.enrolled) continue;
      counts.hosts += 1;
      if (isSilent(row, now)) counts.silent += 1;
      if (row.heardAt === undefined) counts.unheard += 1;
    }
    return counts;
  }

  /** Known hosts of each cell. */
  get cells(): ReadonlyMap<string, number> {
    return this.#cells;
  }

  /** What a host said last, and which processes say they are it if there are several. */
  status(hostId: string, now: number): HostStatus | undefined {
    const said = this.#rows.get(hostId)?.said;
    return said && { ...HostStatus.decode(said.bytes), twins: this.#twins.of(hostId, now) };
  }

  /** The hosts that several processes say they are, and those. */
  twins(now: number): Map<string, AgentProcess[]> {
    return this.#twins.all(now);
  }

  #take(subjectHost: string, bytes: Uint8Array, now: number): string | undefined {
    if (bytes.length > MAX_MESSAGE_BYTES) return "too large";
    if (!NAME_PATTERN.test(subjectHost)) return "the subject has no host's name";
    if (this.#decommissioned.has(subjectHost)) {
      this.stats.decommissioned += 1;
      return "the host was taken out of the fleet";
    }
    let status: HostStatus;
    try {
      status = HostStatus.decode(bytes);
    } catch {
      return "cannot be decoded";
    }
    if (status.hostId !== subjectHost) return "the host is not the subject's";
    if (status.region !== this.#region) return "the region is another one";
    const fault = enrolmentFault(status);
    if (fault !== undefined) return fault;
    const known = this.#rows.get(subjectHost);
    if (known === undefined && this.#rows.size >= MAX_HOSTS) return "too many hosts";
    const said = saidWhen(status, bytes);
    const isLate = known?.heardAt !== undefined && now - known.heardAt <= OVERTAKEN_MS;
    if (isLate && isOlder(said, known.said)) return "older than what is known";
    const { hostId, region, cell, labels } = status;
    const before = known?.said && { ...known.said, at: known.heardAt ?? now };
    this.#twins.heard(status, before, now);
    const enrolment: EnrolledHost = { hostId, region, cell, labels };
    const row = known ?? this.#add(enrolment);
    const same = sameEnrolment(row.enrolment, enrolment);
    if (!row.enrolled || !same) this.#unenrolled.set(hostId, enrolment);
    if (!same) this.#move(row, enrolment);
    const { applications, changed } = merge(row.applications, status.applications);
    const change = same ? (row.silent ? "silence" : changed) : "enrolment";
    Object.assign(row, { said, applications, heardAt: now, silent: false });
    if (change.length > 0) this.#changed(row, change);
    return undefined;
  }

  #add(enrolment: EnrolledHost): Row {
    const row: Row = {
      enrolment,
      enrolled: false,
      silent: true,
      heardAt: undefined,
      said: undefined,
      applications: new Map(),
    };
    this.#rows.set(enrolment.hostId, row);
    this.#countCell(enrolment.cell, 1);
    return row;
  }

  #move(row: Row, enrolment: EnrolledHost): void {
    this.#countCell(row.enrolment.cell, -1);
    this.#countCell(enrolment.cell, 1);
    row.enrolment = enrolment;
  }

  #drop(row: Row): void {
    const { hostId, cell } = row.enrolment;
    this.#rows.delete(hostId);
    this.#unenrolled.delete(hostId);
    this.#countCell(cell, -1);
    row.enrolled = false;
    this.#changed(row, "enrolment");
  }

  #countCell(cell: string, by: 1 | -1): void {
    const hosts = (this.#cells.get(cell) ?? 0) + by;
    if (hosts > 0) this.#cells.set(cell, hosts);
    else this.#cells.delete(cell);
  }

  #changed(row: Row, change: HostChange): void {
    for (const listener of this.#listeners) listener(row, change);
  }
}

/** What a coordinator would not enrol, with all the hosts beside it in the same call. */
function enrolmentFault({ cell, labels }: HostStatus): string | undefined {
  if (cell !== "" && !NAME_PATTERN.test(cell)) return "the cell is not a name";
  const entries = Object.entries(labels);
  if (entries.length > HOST_MAX_LABELS) return "too many labels";
  const sound = entries.every(
    ([name, value]) =>
      HOST_LABEL_PATTERN.test(name) &&
      value.length <= HOST_LABEL_VALUE_MAX &&
      !/\p{Cc}/u.test(value),
  );
  return sound ? undefined : "its labels are not labels";
}

function isSilent({ heardAt }: Row, now: number): boolean {
  return heardAt === undefined || now - heardAt > SILENT_MS;
}

/**
 * What a host says of its applications now, and of which it says something else. Where it says the
 * same, the old object stays: it has survived already.
 */
function merge(
  before: ReadonlyMap<string, HostApplicationStatus>,
  now: readonly HostApplicationStatus[],
): { applications: ReadonlyMap<string, HostApplicationStatus>; changed: string[] } {
  const names = new Set(now.map(({ application }) => application));
  const changed = [...before.keys()].filter((application) => !names.has(application));
  for (const said of now) {
    const known = before.get(said.application);
    if (known === undefined || !sameCounts(known, said)) changed.push(said.application);
  }
  if (changed.length === 0) return { applications: before, changed };
  const applications = new Map(before);
  for (const application of changed) applications.delete(application);
  for (const said of now) {
    if (!applications.has(said.application)) applications.set(said.application, said);
  }
  return { applications, changed };
}

function sameCounts(a: HostApplicationStatus, b: HostApplicationStatus): boolean {
  return (
    a.generation === b.generation &&
    a.phase === b.phase &&
    a.bytesDone === b.bytesDone &&
    a.bytesTotal === b.bytesTotal &&
    a.runningBuildId === b.runningBuildId &&
    a.goalStale === b.goalStale &&
    a.failure?.reason === b.failure?.reason &&
    a.failure?.message === b.failure?.message &&
    a.heldArtifactDigests.length === b.heldArtifactDigests.length &&
    a.heldArtifactDigests.every((digest, index) => b.heldArtifactDigests[index] === digest)
  );
}

function saidWhen(status: HostStatus, bytes: Uint8Array): SaidWhen {
  // A copy: what came is a part of some larger buffer of the connection's.
  return {
    bytes: bytes.slice(),
    time: status.time?.getTime() ?? 0,
    incarnation: incarnationOf(status),
  };
}

/** Messages may overtake each other where a region has several NATS servers. */
function isOlder(said: SaidWhen, before: SaidWhen | undefined): boolean {
  return before?.incarnation === said.incarnation && before.time > said.time;
}

function sameEnrolment(a: EnrolledHost, b: EnrolledHost): boolean {
  const names = Object.keys(a.labels);
  return (
    a.cell === b.cell &&
    names.length === Object.keys(b.labels).length &&
    names.every((name) => Object.hasOwn(b.labels, name) && a.labels[name] === b.labels[name])
  );
}
