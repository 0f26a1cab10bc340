import type { EnrolledHost, HostApplicationStatus } from "@slipway/proto";

/** A host that has not been heard of for so long is silent, in ms. */
export const SILENT_MS = 30_000;

/** What the region knows of a host. */
export interface KnownHost {
  readonly enrolment: EnrolledHost;
  /** Persisted as one of the region's: only such are counted. */
  readonly enrolled: boolean;
  /** Not heard of for 30 s, or never. */
  readonly silent: boolean;
  readonly applications: ReadonlyMap<string, HostApplicationStatus>;
}

/** The highest generations that hosts speak of and that are above the goals', or have none. */
export function generationsAhead(
  goals: ReadonlyMap<string, { generation: number }>,
  hosts: Iterable<KnownHost>,
): { application: string; generation: number }[] {
  const ahead = new Map<string, number>();
  for (const { applications } of hosts) {
    for (const { application, generation } of applications.values()) {
      const known = Math.max(goals.get(application)?.generation ?? 0, ahead.get(application) ?? 0);
      if (generation > known) ahead.set(application, generation);
    }
  }
  return [...ahead].map(([application, generation]) => ({ application, generation }));
}
