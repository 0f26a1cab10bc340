import { createHash } from "node:crypto";
import { HOST_BUCKETS } from "@slipway/proto";

/**
 * The host's place in a deployment, 0 to 9,999: the first 4 bytes of SHA-256 over the host's id, a
 * slash and the deployment's id, modulo 10,000. It needs no state, so raising the limit only adds
 * hosts, and each deployment starts with other ones.
 */
export function hostBucket(hostId: string, deploymentId: string): number {
  return (
    createHash("sha256").update(`${hostId}/${deploymentId}`).digest().readUInt32BE(0) % HOST_BUCKETS
  );
}

/** Whether the host is among those that switch: its bucket is below the limit, 0 to 10,000. */
export function isChosen(hostId: string, deploymentId: string, bucketLimit: number): boolean {
  return hostBucket(hostId, deploymentId) < bucketLimit;
}

/** Whether the labels contain every pair of the selector. An empty selector takes every host. */
export function selectorTakes(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(
    ([name, value]) => Object.hasOwn(labels, name) && labels[name] === value,
  );
}
