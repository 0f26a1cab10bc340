import type { Deployment, Host } from "@slipway/sdk";

/** Where the bytes came from that a deployment's hosts needed, and how long it took. */
export interface DeployFigures {
  fromPeers: number;
  fromSeeders: number;
  fromLocal: number;
  /** Copied from other artifacts on the same host. */
  fromReuse: number;
  /** Milliseconds from the request to the last host's RUNNING. */
  lastHost: number;
}

/**
 * Adds up what every host says of a deployment.
 * @param ids - The hosts that must have said something.
 * @param started - When it was requested, in milliseconds since 1970.
 * @throws Error if one said nothing, or told of fewer bytes than the artifact has.
 */
export function deployFigures(
  hosts: readonly Host[],
  ids: readonly string[],
  { application, generation }: Pick<Deployment, "application" | "generation">,
  started: number,
): DeployFigures {
  const figures = { lastHost: 0, fromPeers: 0, fromSeeders: 0, fromLocal: 0, fromReuse: 0 };
  const missing = new Set(ids);
  for (const { status } of hosts) {
    const said = status?.applications.find((each) => each.application === application);
    if (said === undefined || said.generation !== generation) continue;
    const { bytesFromPeers, bytesFromSeeders, bytesFromLocal, bytesFromReuse } = said;
    const { bytesTotal, phaseTime } = said;
    const got = bytesFromPeers + bytesFromSeeders + bytesFromLocal + bytesFromReuse;
    if (bytesTotal > 0 && got >= bytesTotal) missing.delete(status?.hostId ?? "");
    figures.fromPeers += bytesFromPeers;
    figures.fromSeeders += bytesFromSeeders;
    figures.fromLocal += bytesFromLocal;
    figures.fromReuse += bytesFromReuse;
    figures.lastHost = Math.max(figures.lastHost, (phaseTime?.getTime() ?? started) - started);
  }
  if (missing.size > 0) {
    throw new Error(`no word of where every byte came from: ${[...missing].join(", ")}`);
  }
  return figures;
}
