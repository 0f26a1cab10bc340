import {
  HostStatus,
  NAME_PATTERN,
  type EnrolledHost,
  type HostApplicationStatus,
} from "@slipway/proto";
import { isSilent, type KnownHost } from "./aggregate.js";

/** Hosts that a region may have: beyond it, new ones are dropped and counted. */
const MAX_HOSTS = 200_000;
const MAX_MESSAGE_BYTES = 1024 * 1024;
const MAX_LABELS = 100;

interface Row extends KnownHost {
  enrolled: boolean;
  status: HostStatus | undefined;
}

/**
 * What the region's hosts said last, in memory. Only enrolled hosts are counted; ones that were
 * just heard for the first time wait to be enrolled.
 */
export class HostTable {
  readonly stats = { messages: 0, dropped: 0 };
  readonly #region: string;
  readonly #rows = new Map<string, Row>();
  readonly #unenrolled = new Map<string, EnrolledHost>();
  readonly #cells = new Map<string, number>();
  /** Applications whose counts may have changed; undefined means all. */
  #dirty: Set<string> | undefined;

  constructor(region: string) {
    this.#region = region;
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
    if (hosts.length > 0) this.#dirty = undefined;
    for (const enrolment of hosts) {
      const row = this.#rows.get(enrolment.hostId);
      if (row === undefined) {
        const applications = new Map<string, HostApplicationStatus>();
        const status = undefined;
        this.#put({ enrolment, enrolled: true, heardAt: undefined, applications, status });
        continue;
      }
      row.enrolled = true;
      if (row.status === undefined || sameEnrolment(row.enrolment, enrolment)) {
        this.#put({ ...row, enrolment });
        this.#unenrolled.delete(enrolment.hostId);
      } else {
        // What the host itself says is newer than what is persisted.
        this.#unenrolled.set(enrolment.hostId, row.enrolment);
      }
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

  counts(now: number): { hosts: number; silent: number; unheard: number } {
    const counts = { hosts: 0, silent: 0, unheard: 0 };
    for (const host of this.enrolled()) {
      counts.hosts += 1;
      if (isSilent(host, now)) counts.silent += 1;
      if (host.heardAt === undefined) counts.unheard += 1;
    }
    return counts;
  }

  /** Applications whose counts may have changed since it was last asked; undefined means all. */
  takeDirty(): ReadonlySet<string> | undefined {
    const dirty = this.#dirty;
    this.#dirty = new Set();
    return dirty;
  }

  /** Known hosts of each cell. */
  get cells(): ReadonlyMap<string, number> {
    return this.#cells;
  }

  status(hostId: string): HostStatus | undefined {
    return this.#rows.get(hostId)?.status;
  }

  #take(subjectHost: string, bytes: Uint8Array, now: number): string | undefined {
    if (bytes.length > MAX_MESSAGE_BYTES) return "too large";
    if (!NAME_PATTERN.test(subjectHost)) return "the subject has no host's name";
    let status: HostStatus;
    try {
      status = HostStatus.decode(bytes);
    } catch {
      return "cannot be decoded";
    }
    if (status.hostId !== subjectHost) return "the host is not the subject's";
    if (status.region !== this.#region) return "the region is another one";
    if (Object.keys(status.labels).length > MAX_LABELS) return "too many labels";
    const before = this.#rows.get(subjectHost);
    if (before === undefined && this.#rows.size >= MAX_HOSTS) return "too many hosts";
    if (isOlder(status, before?.status)) return "older than what is known";
    const { hostId, region, cell, labels } = status;
    const enrolment: EnrolledHost = { hostId, region, cell, labels };
    const enrolled = before?.enrolled ?? false;
    if (!enrolled || before === undefined || !sameEnrolment(before.enrolment, enrolment)) {
      this.#unenrolled.set(hostId, enrolment);
    }
    const applications = new Map(status.applications.map((said) => [said.application, said]));
    if (before?.heardAt === undefined) this.#dirty = undefined;
    for (const said of status.applications) {
      const known = before?.applications.get(said.application);
      if (known === undefined || !sameCounts(known, said)) this.#dirty?.add(said.application);
    }
    this.#put({ enrolment, enrolled, heardAt: now, applications, status });
    return undefined;
  }

  #put(row: Row): void {
    const { hostId, cell } = row.enrolment;
    const before = this.#rows.get(hostId)?.enrolment.cell;
    this.#rows.set(hostId, row);
    if (before === cell) return;
    this.#cells.set(cell, (this.#cells.get(cell) ?? 0) + 1);
    if (before === undefined) return;
    const left = (this.#cells.get(before) ?? 0) - 1;
    if (left > 0) this.#cells.set(before, left);
    else this.#cells.delete(before);
  }
}

function sameCounts(a: HostApplicationStatus, b: HostApplicationStatus): boolean {
  return (
    a.generation === b.generation &&
    a.phase === b.phase &&
    a.bytesDone === b.bytesDone &&
    a.bytesTotal === b.bytesTotal &&
    a.runningBuildId === b.runningBuildId &&
    a.failure?.message === b.failure?.message
  );
}

/** Messages may overtake each other where a region has several NATS servers. */
function isOlder(status: HostStatus, before: HostStatus | undefined): boolean {
  return (
    before?.startTime?.getTime() === status.startTime?.getTime() &&
    (before?.time?.getTime() ?? 0) > (status.time?.getTime() ?? 0)
  );
}

function sameEnrolment(a: EnrolledHost, b: EnrolledHost): boolean {
  const names = Object.keys(a.labels);
  return (
    a.cell === b.cell &&
    names.length === Object.keys(b.labels).length &&
    names.every((name) => Object.hasOwn(b.labels, name) && a.labels[name] === b.labels[name])
  );
}
