import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import process from "node:process";
import {
  type Address,
  type FetchProgress,
  type Swarm,
  join,
  openArtifactStore,
  readIdentity,
} from "@slipway/agent/swarm";

/** Slow enough to see that the others give to each other what each of them got. */
const SEED_BYTES_PER_SECOND = 32 * 1024 * 1024;

/** What a peer is to do. */
export interface PeerOrder {
  identityFile: string;
  /** PEM. */
  membershipPublicKey: string;
  listen: Address;
  bootstrap: Address[];
  /** A file to share, or an artifact to fetch into a directory and put into a file. */
  task: { kind: "seed"; file: string } | { kind: "fetch"; digest: string; dir: string; to: string };
}

/** What a peer tells. */
export type PeerReport =
  | { kind: "seeded"; digest: string }
  | { kind: "progress"; progress: FetchProgress }
  | { kind: "fetched" };

/** One of the processes: gets its order over IPC, and shares what it has until that is closed. */
export async function runPeer(): Promise<void> {
  const stop = new AbortController();
  process.once("disconnect", () => stop.abort());
  const [order] = (await once(process, "message", stop)) as [PeerOrder];
  const { listen, bootstrap, task } = order;
  const identity = await readIdentity(order.identityFile);
  const swarm = await join({
    identity,
    membershipPublicKey: createPublicKey(order.membershipPublicKey),
    cell: "default",
    listen,
    bootstrap,
    // The others find each other through it.
    runBootstrap: identity.role === "region",
    ...(task.kind === "seed" && { maxUploadBytesPerSecond: SEED_BYTES_PER_SECOND }),
  });
  try {
    if (task.kind === "fetch") await fetch(swarm, task, stop.signal);
    else tell({ kind: "seeded", digest: (await swarm.seed(task.file)).digest });
    if (!stop.signal.aborted) await once(stop.signal, "abort");
  } finally {
    await swarm.close();
  }
}

async function fetch(
  swarm: Swarm,
  { digest, dir, to }: { digest: string; dir: string; to: string },
  signal: AbortSignal,
): Promise<void> {
  const store = await openArtifactStore(dir);
  try {
    for await (const progress of swarm.fetch(digest, { store, signal, to })) {
      tell({ kind: "progress", progress });
    }
    tell({ kind: "fetched" });
  } finally {
    await store.close();
  }
}

function tell(report: PeerReport): void {
  if (process.connected) process.send?.(report);
}
