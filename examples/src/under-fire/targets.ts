import path from "node:path";
import type { ProcessKind } from "../local-fleet/command-lines.js";
import type { FleetHost, LocalFleet } from "../local-fleet/fleet.js";
import { isAlive } from "../processes/signals.js";
import type { FaultKind } from "./fault-plan.js";
import { applicationFolder, namesIn, readJsonIfThere } from "./host-folders.js";
import { dataFolder } from "../local-fleet/command-lines.js";

/** Something that can be killed and started again. */
export interface Target {
  /** SIGKILL. Answers whether there was anything to kill. */
  kill(): Promise<boolean>;
  /** Nothing happens if it runs. */
  start(): Promise<void>;
}

const PROCESS_KINDS: Readonly<Record<ProcessKind, FaultKind>> = {
  coordinator: "coordinator",
  builder: "builder",
  region: "region agent",
  host: "host agent",
};

/** All that there is to kill in a fleet, by kind and name. */
export function targetsOf(fleet: LocalFleet): Map<FaultKind, Map<string, Target>> {
  const targets = new Map<FaultKind, Map<string, Target>>();
  const add = (kind: FaultKind, name: string, target: Target): void => {
    const known = targets.get(kind) ?? new Map<string, Target>();
    targets.set(kind, known.set(name, target));
  };
  for (const each of fleet.processes.values()) {
    add(PROCESS_KINDS[each.kind], each.name, {
      async kill() {
        await each.kill();
        return true;
      },
      async start() {
        if (each.pid === undefined) await each.start();
      },
    });
  }
  for (const server of fleet.servers.values()) {
    const kind = server.name === "postgres" ? "postgres" : undefined;
    add(kind ?? (server.name === "nats" ? "global nats" : "regional nats"), server.name, {
      async kill() {
        await server.kill();
        return true;
      },
      start: () => server.start(),
    });
  }
  for (const host of fleet.hosts) {
    const kill = (): Promise<boolean> => killReleases(fleet.dir, host);
    add("release", host.id, { kill, start: () => Promise.resolve() });
  }
  return targets;
}

/** Kills what the host runs, of every application. */
async function killReleases(dir: string, host: FleetHost): Promise<boolean> {
  let killed = false;
  for (const application of await namesIn(path.join(dataFolder(dir, host.id), "apps"))) {
    const file = path.join(applicationFolder(dir, host, application), "process.json");
    const record = (await readJsonIfThere(file)) as { pid?: number } | undefined;
    const pid = record?.pid;
    if (pid === undefined || !isAlive(pid)) continue;
    try {
      process.kill(pid, "SIGKILL");
      killed = true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
  return killed;
}
