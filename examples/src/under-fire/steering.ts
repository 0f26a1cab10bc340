import { setTimeout as delay } from "node:timers/promises";
import { DeploymentState } from "@slipway/sdk";
import { CREATOR } from "./applications.js";
import type { People } from "./people.js";
import type { PlannedDeployment } from "./traffic-plan.js";

export interface Helm {
  people: Pick<People, "creator" | "approver">;
  /** Makes a call until it is answered; undefined if it was refused. */
  ask: <T>(what: string, call: () => Promise<T>) => Promise<T | undefined>;
  /** Told of what should have been refused. */
  surprised: (what: string) => void;
  signal: AbortSignal;
}

/** Does what is planned about a deployment. */
export async function steer(
  { people: { creator: client }, ask, signal }: Omit<Helm, "surprised">,
  id: string,
  { steering, afterMs }: PlannedDeployment,
): Promise<void> {
  if (steering === "nothing") return;
  await delay(afterMs, undefined, { signal });
  const by = { reason: steering };
  switch (steering) {
    case "pause":
      await ask("pause", () => client.deployments.pause(id, by));
      await delay(afterMs, undefined, { signal });
      // In any case: the answer to the pause may have been lost.
      await ask("resume", () => client.deployments.resume(id, by));
      return;
    case "abort":
    case "abort and keep": {
      const keepSwitched = steering === "abort and keep";
      await ask("abort", () => client.deployments.abort(id, { ...by, keepSwitched }));
      return;
    }
    case "overtake":
      // The next deployment does not wait for this one.
      return;
  }
}

/** Lets every step begin that waits for somebody, until the deployment and what puts it back end. */
export async function promoteAll(helm: Helm, id: string): Promise<void> {
  const { people, ask, signal, surprised } = helm;
  const { creator, approver } = people;
  let next = id;
  while (next !== "") {
    let rolledBackBy = "";
    for await (const { deployment } of creator.deployments.watch(next, { signal })) {
      const { id: promoted, step, state, steps } = deployment;
      rolledBackBy = deployment.rolledBackBy;
      if (state !== DeploymentState.WAITING) continue;
      const request = { step, reason: "seen and approved" };
      if (steps[step - 1]?.requiresApproval === true && deployment.creator === CREATOR) {
        const answer = await ask("promote", () => creator.deployments.promote(promoted, request));
        if (answer !== undefined) surprised(`${promoted} was approved by its creator`);
      }
      await ask("promote", () => approver.deployments.promote(promoted, request));
    }
    next = rolledBackBy;
  }
}
