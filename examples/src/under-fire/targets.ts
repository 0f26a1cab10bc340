import path from "node:path";
import type { ProcessKind } from "../local-fleet/command-lines.js";
import type { FleetHost, LocalFleet } from "../local-fleet/fleet.js";
import type { FleetProcess } from "../local-fleet/fleet-process.js";
import { isAlive } from "../processes/signals.js";
import type { FaultKind, FaultWay } from "./fault-plan.js";
import { applicationFolder, namesIn, readJsonIfThere } from "./host-folders.js";
import { dataFolder } from "../local-fleet/files.js";

/** One way of being down. */
interface Trouble {
  /** Answers whether there was anything to hit. */
  begin(): Promise<boolean>;
  /** All is as before; nothing happens if it is. */
  end(): Promise<void>;
}

/** What can be done to something. */
export type Target = Readonly<Partial<Record<FaultWay, Trouble>>>;

const PROCESS_KINDS: Readonly<Record<ProcessKind, FaultKind>> = {
  coordinator: "coordinator",
  builder: "builder",
  region: "region agent",
  host: "host agent",
};

/** What takes a host out of every selector, and what it has otherwise. */
const AWAY = ["--label", "tier=away"];

/** All that can be hit in a fleet, by kind and name. */
export function targetsOf(fleet: LocalFleet): Map<FaultKind, Map<string, Target>> {
  const targets = new Map<FaultKind, Map<string, Target>>();
  const add = (kind: FaultKind, name: string, target: Target): void => {
    const known = targets.get(kind) ?? new Map<string, Target>();
    targets.set(kind, known.set(name, target));
  };
  for (const each of fleet.processes.values()) {
    add(PROCESS_KINDS[each.kind], each.name, processTarget(each));
  }
  for (const server of fleet.servers.values()) {
    const kind = server.name === "postgres" ? "postgres" : undefined;
    add(kind ?? (server.name === "nats" ? "global nats" : "regional nats"), server.name, {
      kill: {
        async begin() {
          await server.kill();
          return true;
        },
        end: () => server.start(),
      },
      hang: {
        begin: () => Promise.resolve(server.pause()),
        end() {
          server.resume();
          return Promise.resolve();
        },
      },
    });
  }
  for (const host of fleet.hosts) {
    const begin = (): Promise<boolean> => killReleases(fleet.dir, host);
    add("release", host.id, { kill: { begin, end: () => Promise.resolve() } });
  }
  return targets;
}

function processTarget(each: FleetProcess): Target {
  const kill = async (): Promise<boolean> => {
    await each.kill();
    return true;
  };
  const start = async (): Promise<void> => {
    if (each.pid === undefined) await each.start();
  };
  return {
    kill: { begin: kill, end: start },
    hang: {
      begin() {
        each.pause();
        return Promise.resolve(each.pid !== undefined);
      },
      end() {
        each.resume();
        return Promise.resolve();
      },
    },
    relabel: {
      begin: kill,
      end() {
        each.moreArgs = each.moreArgs.length === 0 ? AWAY : [];
        return start();
      },
    },
  };
}

/** The labels that a host has now. */
export function labelsOf(host: FleetProcess): Record<string, string> {
  const args = [...host.args, ...host.moreArgs];
  const pairs = args.flatMap((arg, index) => (args[index - 1] === "--label" ? [arg] : []));
  const single = pairs.flatMap((pair) => pair.split(","));
  return Object.fromEntries(single.map((pair) => pair.split("=") as [string, string]));
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
