import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { GuardianOrder } from "./guardian.js";
import { endLeftovers } from "./leftovers.js";
import { isAlive, signalGroup, waitUntilGone } from "./signals.js";

const GRACE_MS = 5_000;

const watched = new Map<number, NodeJS.Signals>();
const directories = new Map<string, { keep: boolean }>();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

for await (const line of createInterface({ input: process.stdin })) obey(line);
await endAll();

function obey(line: string): void {
  let order: GuardianOrder;
  try {
    order = JSON.parse(line) as GuardianOrder;
  } catch {
    return; // Cut off in the middle by the writer's end.
  }
  switch (order.order) {
    case "watch":
      watched.set(order.pid, order.signal);
      break;
    case "forget":
      watched.delete(order.pid);
      break;
    case "directory":
      directories.set(order.path, order);
      break;
    case "forget-directory":
      directories.delete(order.path);
      break;
  }
}

async function endAll(): Promise<void> {
  // A stopped process hears nothing but SIGCONT and SIGKILL.
  for (const [pid, signal] of watched) {
    signalGroup(pid, "SIGCONT");
    signalGroup(pid, signal);
  }
  await waitUntilGone([...watched.keys()], GRACE_MS);
  for (const pid of watched.keys()) if (isAlive(pid)) signalGroup(pid, "SIGKILL");
  for (const [directory, { keep }] of directories) {
    await endLeftovers(directory);
    if (keep) continue;
    await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
