import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type Client, SlipwayError } from "@slipway/sdk";
import type { FleetPlan } from "./command-lines.js";

const LOOK_EVERY_MS = 50;

/** Something that is not ready yet, and whose log may say why. */
export interface Missing {
  what: string;
  /** Names of processes, the likeliest culprit first. */
  suspects: string[];
}

/** A wait that took too long. */
export class NotReadyError extends Error {
  override readonly name = "NotReadyError";
  readonly suspects: readonly string[];

  constructor({ what, suspects }: Missing, timeoutMs: number, cause?: unknown) {
    const seconds = Math.round(timeoutMs / 1000);
    super(`not ready within ${seconds} s: ${what}`, cause === undefined ? undefined : { cause });
    this.suspects = suspects;
  }
}

export interface Wait {
  timeoutMs: number;
  signal: AbortSignal;
}

/**
 * Asks until nothing is missing.
 * @throws NotReadyError with what was missing last; the signal's reason.
 */
async function untilNothingMissing(
  ask: () => Promise<Missing | undefined>,
  { timeoutMs, signal }: Wait,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const missing = await ask();
    if (missing === undefined) return;
    if (Date.now() >= end) throw new NotReadyError(missing, timeoutMs);
    await delay(LOOK_EVERY_MS);
  }
}

/** Waits until every coordinator listens, and one answers. */
export async function coordinatorReady(
  client: Client,
  { coordinators }: FleetPlan,
  wait: Wait,
): Promise<void> {
  const { timeoutMs, signal } = wait;
  const end = Date.now() + timeoutMs;
  // Before that a client would find nobody, and wait longer each time.
  await untilNothingMissing(async () => {
    for (const { name, port } of coordinators) {
      if (!(await listens(port))) return { what: `${name} does not listen`, suspects: [name] };
    }
    return undefined;
  }, wait);
  const suspects = coordinators.map(({ name }) => name);
  await untilNothingMissing(
    async () => {
      try {
        await client.fleet.regions({ signal, timeoutMs: 2_000 });
        return undefined;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof SlipwayError && !error.retryable) throw error;
        return { what: `no coordinator answers: ${(error as Error).message}`, suspects };
      }
    },
    { timeoutMs: end - Date.now(), signal },
  );
}

/** Whether somebody takes connections on this machine's port. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const say = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", say(true));
    socket.once("error", say(false));
  });
}

/**
 * Waits until every region agent is heard of, and so listens for its hosts.
 * @param options.settled - And until none of them says that it is warming up.
 */
export async function regionAgentsReady(
  client: Client,
  plan: FleetPlan,
  wait: Wait,
  { settled = false }: { settled?: boolean } = {},
): Promise<void> {
  const { signal } = wait;
  await untilNothingMissing(async () => {
    const regions = new Map((await client.fleet.regions({ signal })).map((r) => [r.name, r]));
    for (const { region, agentId } of plan.regions) {
      const agents = regions.get(region)?.agents ?? [];
      const agent = agents.find((candidate) => candidate.agentId === agentId);
      const suspects = [agentId];
      if (agent === undefined) return { what: `${agentId} is not heard of`, suspects };
      if (settled && agent.warming) return { what: `${agentId} is warming up`, suspects };
    }
    return undefined;
  }, wait);
}

/** Waits until every host is enrolled and heard of. */
export async function hostsReady(client: Client, plan: FleetPlan, wait: Wait): Promise<void> {
  const { signal } = wait;
  await untilNothingMissing(async () => {
    const heard = new Set<string>();
    for await (const host of client.fleet.hosts({}, { signal })) {
      if (host.status !== undefined && !host.silent) heard.add(host.status.hostId);
    }
    const absent = plan.hosts.filter(({ hostId }) => !heard.has(hostId));
    if (absent.length === 0) return undefined;
    const names = absent.map(({ hostId }) => hostId);
    const agents = plan.regions.filter(({ region }) => region === absent[0]?.region);
    return {
      what: `hosts not heard of: ${names.join(", ")}`,
      suspects: [...names.slice(0, 1), ...agents.map(({ agentId }) => agentId)],
    };
  }, wait);
}
