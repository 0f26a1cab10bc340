import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { FleetHost, LocalFleet } from "../local-fleet/fleet.js";
import type { SwitchFact } from "./facts.js";
import { applicationFolder, readJsonIfThere } from "./host-folders.js";
import { readObeyed } from "./obeyed-goal.js";

const LOOK_EVERY_MS = 300;

/** A place in the order of goals. */
export interface Place {
  generation: number;
  issueTimeMs: number;
}

/** Whether a host that is at `now` has gone back from where it was. */
export function isBehind(now: Place, before: Place): boolean {
  return (
    now.generation < before.generation ||
    (now.generation === before.generation && now.issueTimeMs < before.issueTimeMs)
  );
}

/**
 * Looks again and again which goal each host says it has obeyed last, on its disk, and what it runs
 * or begins to run by it.
 */
export class HostWatch {
  readonly falls: string[] = [];
  looks = 0;
  /** Hosts that were seen to run what a goal says, and before, by the same goal, to run another. */
  readonly switches: SwitchFact[] = [];
  readonly #fleet: LocalFleet;
  readonly #applications: readonly string[];
  readonly #places = new Map<string, Place>();
  /** By host and application, the deployment by which it runs another release still. */
  readonly #others = new Map<string, string>();
  readonly #stopping = new AbortController();
  readonly #loop: Promise<void>;

  constructor(fleet: LocalFleet, applications: readonly string[]) {
    this.#fleet = fleet;
    this.#applications = applications;
    this.#loop = this.#run();
  }

  /** Ends it after a last look. @throws what kept it from looking. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#look();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#look();
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    for (const host of this.#fleet.hosts) {
      for (const application of this.#applications) {
        const folder = applicationFolder(this.#fleet.dir, host, application);
        const place = (await readJsonIfThere(path.join(folder, "obeyed.json"))) as
          Place | undefined;
        const key = `${host.id}, ${application}`;
        const before = this.#places.get(key);
        if (place === undefined) {
          if (before !== undefined) this.falls.push(`${key}: forgot its generation`);
          continue;
        }
        this.looks++;
        if (before !== undefined && isBehind(place, before)) {
          const words = (at: Place): string => `${at.generation} of ${at.issueTimeMs}`;
          this.falls.push(`${key}: from generation ${words(before)} to ${words(place)}`);
        }
        this.#places.set(key, place);
        await this.#lookAtRelease(host, application, key);
      }
    }
  }

  async #lookAtRelease(host: FleetHost, application: string, key: string): Promise<void> {
    const obeyed = await readObeyed(applicationFolder(this.#fleet.dir, host, application));
    if (obeyed === undefined) return;
    const { deploymentId, runs } = obeyed;
    if (!runs) this.#others.set(key, deploymentId);
    else if (this.#others.get(key) === deploymentId) {
      const { id, region } = host;
      this.switches.push({ host: id, region, application, deploymentId });
      this.#others.delete(key);
    }
  }
}
