import { setMaxListeners } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { ApplicationSpec, Input } from "@slipway/sdk";
import { keyFile } from "../local-fleet/files.js";
import type { LocalFleet } from "../local-fleet/index.js";
import { applicationNames, applicationSpecs, APPROVER, CREATOR, SECRET } from "./applications.js";
import { Asker } from "./asker.js";
import { startHookReceiver } from "./hook-receiver.js";
import { HostWatch } from "./host-watch.js";
import type { Scene } from "./judge.js";
import { openLedger } from "./ledger.js";
import { seededRandom } from "./random.js";
import { createRepository } from "./repository.js";
import type { Scale } from "./scale.js";
import { planTraffic, type TrafficPlan } from "./traffic-plan.js";
import { Traffic } from "./traffic.js";
import { Watchers } from "./watchers.js";

/** All that a run begins with. */
export interface Stage {
  scene: Scene;
  plan: TrafficPlan;
  /** Of the planned builds, in their order. */
  commits: readonly string[];
  specs: ReadonlyMap<string, Input<ApplicationSpec>>;
}

/** Makes the commits, applies the applications, and begins to look at what becomes of it all. */
export async function setStage(
  fleet: LocalFleet,
  scale: Scale,
  signal: AbortSignal,
): Promise<Stage> {
  const { client, dir, regions } = fleet;
  const applications = applicationNames();
  const plan = planTraffic(seededRandom(scale.seed), { ...scale, applications });
  const repository = path.join(dir, "repository");
  const commits = await createRepository(repository, plan.builds);
  const secretFile = path.join(dir, "host-secret");
  await writeFile(secretFile, `${SECRET}\n`, { mode: 0o600 });
  await openLedger(fleet.postgres.url("slipway"));
  const hookSecret = (await readFile(keyFile(dir, "hook.secret"), "utf8")).trim();
  const receiver = await startHookReceiver(hookSecret, seededRandom(scale.seed + 4));
  const surroundings = { repository, regions, hookUrl: receiver.url, secretFile };
  const specs = applicationSpecs(surroundings);
  for (const [name, spec] of specs) await client.applications.apply({ name, spec });
  const asker = new Asker();
  const watchers = new Watchers(client, signal);
  const hostWatch = new HostWatch(fleet, applications);
  const random = seededRandom(scale.seed + 1);
  const people = {
    creator: await fleet.connect(CREATOR, "deployer"),
    approver: await fleet.connect(APPROVER, "deployer"),
    operator: await fleet.connect("operator", "admin"),
  };
  const traffic = new Traffic({ people, plan, commits, watchers, random, asker });
  const { quietTimeoutMs } = scale;
  const watched = { traffic, asker, watchers, receiver, hostWatch };
  const scene = { fleet, people, applications, ...watched, quietTimeoutMs, signal };
  return { scene, plan, commits, specs };
}

/** Every watcher and every wait listens to it. */
export function listened(signal: AbortSignal): AbortSignal {
  setMaxListeners(0, signal);
  return signal;
}
