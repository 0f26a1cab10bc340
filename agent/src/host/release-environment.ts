import type { Release } from "@slipway/proto";
import { resolveEnvironment } from "./expand.js";

/** What a host gives every release. */
export interface HostEnvironment {
  hostId: string;
  region: string;
  labels: Readonly<Record<string, string>>;
  /** PATH, HOME, LANG and the values given on the agent's command line. */
  base: Readonly<Record<string, string>>;
}

/**
 * The clean environment of a release on a host, later ones over earlier ones: the host's base, the
 * SLIPWAY_ names, the run spec's variables.
 * @throws ExpansionError if the run spec's variables cannot be expanded.
 */
export function releaseEnvironment(
  host: HostEnvironment,
  application: string,
  release: Release,
): Record<string, string> {
  const base: Record<string, string> = {
    ...host.base,
    SLIPWAY_HOST_ID: host.hostId,
    SLIPWAY_REGION: host.region,
    SLIPWAY_APPLICATION: application,
    SLIPWAY_BUILD_ID: release.buildId,
    SLIPWAY_COMMIT_SHA: release.commitSha,
  };
  for (const [name, value] of Object.entries(host.labels)) base[labelVariable(name)] = value;
  return resolveEnvironment(base, release.run?.environment ?? {});
}

/** "http-port" is SLIPWAY_LABEL_HTTP_PORT. */
function labelVariable(label: string): string {
  return `SLIPWAY_LABEL_${label.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
}
