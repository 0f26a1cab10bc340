import { setTimeout as delay } from "node:timers/promises";
import type { Fault, FaultKind } from "./fault-plan.js";
import type { Target } from "./targets.js";

export interface FireOptions {
  targets: ReadonlyMap<FaultKind, ReadonlyMap<string, Target>>;
  /** Ends it before its time; what is down is started all the same. */
  signal: AbortSignal;
  /** Told of each fault once it has begun. */
  onFault: (fault: Fault, hit: boolean) => void;
}

/**
 * Carries out a plan of faults. When it answers, all that was down is up again.
 * @returns how many faults of each way and kind there were: "kill coordinator" ….
 * @throws the first error of a start.
 */
export async function fire(
  faults: readonly Fault[],
  { targets, signal, onFault }: FireOptions,
): Promise<Map<string, number>> {
  const began = Date.now();
  const counts = new Map<string, number>();
  const pause = (ms: number): Promise<void> =>
    delay(Math.max(0, ms), undefined, { signal }).catch(() => undefined);
  const busy = new Map<string, Promise<void>>();
  const one = async (fault: Fault, before: Promise<void> | undefined): Promise<void> => {
    await before;
    const { way, kind } = fault;
    const trouble = targets.get(kind)?.get(fault.target)?.[way];
    if (trouble === undefined) throw new Error(`nobody can ${way} ${kind} ${fault.target}`);
    const hit = await trouble.begin();
    const what = `${way} ${kind}`;
    if (hit) counts.set(what, (counts.get(what) ?? 0) + 1);
    onFault(fault, hit);
    await pause(fault.downMs);
    await trouble.end();
  };
  for (const fault of faults) {
    await pause(began + fault.atMs - Date.now());
    if (signal.aborted) break;
    // On a busy machine a start may take longer than planned.
    const running = one(fault, busy.get(fault.target));
    // Its error is thrown below, not where nobody waits yet.
    running.catch(() => undefined);
    busy.set(fault.target, running);
  }
  const results = await Promise.allSettled(busy.values());
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return counts;
}
