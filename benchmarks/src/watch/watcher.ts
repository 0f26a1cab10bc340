import process from "node:process";
import { Client, credentials, type ClientReadableStream } from "@grpc/grpc-js";
import {
  DeploymentServiceService,
  DeploymentState,
  WatchDeploymentRequest,
  WatchDeploymentResponse,
} from "@slipway/proto";

/** What one process of watchers is told: JSON, its only argument. */
export interface WatcherConfig {
  address: string;
  deploymentId: string;
  streams: number;
  streamsPerConnection: number;
  /** Nobody reads from the streams. */
  isUnread: boolean;
}

export type WatcherMessage =
  /** Every stream is open, and was sent the present state if it is read. */
  | { kind: "open" }
  /** By number of an event, when each stream had it: milliseconds since 1970. */
  | { kind: "received"; times: Record<string, number[]> }
  /** Every stream that is read has ended; how many of them had the final state. */
  | { kind: "ended"; final: number };

const { path } = DeploymentServiceService.watchDeployment;
const config = JSON.parse(process.argv[2] ?? "") as WatcherConfig;
const times = new Map<number, number[]>();
let opened = 0;
let ended = 0;
let final = 0;

/** Encoded once by the coordinator for all, so that it is worth decoding once here. */
let last: { bytes: Buffer; response: WatchDeploymentResponse } | undefined;
function decode(bytes: Buffer): WatchDeploymentResponse {
  if (last === undefined || !last.bytes.equals(bytes)) {
    last = { bytes, response: WatchDeploymentResponse.decode(bytes) };
  }
  return last.response;
}

/** The event that every region's counts are of at least. */
function numberOf({ regions }: WatchDeploymentResponse): number {
  return Math.min(...regions.map(({ status }) => status?.bytesDone ?? 0));
}

function watch(client: Client): void {
  const request = { id: config.deploymentId, afterRevision: 0 };
  const stream: ClientReadableStream<Buffer> = client.makeServerStreamRequest(
    path,
    (message: WatchDeploymentRequest) =>
      Buffer.from(WatchDeploymentRequest.encode(message).finish()),
    (bytes: Buffer) => bytes,
    request,
  );
  if (config.isUnread) {
    stream.on("metadata", open);
    stream.on("error", () => undefined);
    return;
  }
  let state = DeploymentState.UNSPECIFIED;
  let seen = -1;
  stream.on("data", (bytes: Buffer) => {
    const response = decode(bytes);
    if (seen < 0) open();
    const number = numberOf(response);
    // Those between were left out: whoever waited for them has them now.
    for (let each = Math.max(seen, 0) + 1; each <= number; each++) {
      const received = times.get(each) ?? [];
      times.set(each, received);
      received.push(performance.timeOrigin + performance.now());
    }
    seen = Math.max(seen, number);
    state = response.deployment?.state ?? state;
  });
  const end = (): void => {
    if (state === DeploymentState.ABORTED) final += 1;
    ended += 1;
    if (ended === config.streams) tell({ kind: "ended", final });
  };
  stream.on("error", end);
  stream.on("end", end);
}

function open(): void {
  opened += 1;
  if (opened === config.streams) tell({ kind: "open" });
}

function tell(message: WatcherMessage): void {
  process.send?.(message);
}

process.on("message", () => tell({ kind: "received", times: Object.fromEntries(times) }));
process.on("disconnect", () => process.exit(0));
for (let left = config.streams; left > 0; left -= config.streamsPerConnection) {
  const client = new Client(config.address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  for (let each = 0; each < Math.min(left, config.streamsPerConnection); each++) watch(client);
}
