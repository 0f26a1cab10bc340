import type { Metadata } from "@grpc/grpc-js";

/** The header with which coordinators say when the token ends that a call came with: RFC 3339. */
const HEADER = "slipway-token-expire-time";

/** Says when a token ends. */
export function setTokenEnd(metadata: Metadata, expireTime: Date): void {
  metadata.set(HEADER, expireTime.toISOString());
}

/** When the token ends that a call was made with; undefined if it has no end, or nobody said. */
export function getTokenEnd(metadata: Metadata): Date | undefined {
  const [text] = metadata.get(HEADER);
  if (typeof text !== "string" || text.length > 40) return undefined;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
