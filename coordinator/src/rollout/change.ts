import { aborted, notFound } from "../errors.js";
import { readDeployment } from "./deployment-store.js";
import { move, type Moved } from "./move.js";
import type { RolloutContext } from "./rollout-context.js";
import type { DeploymentEvent } from "./deployment-event.js";

/** A deployment moves at most some times a second: so many attempts only fail if it is stuck. */
const MAX_ATTEMPTS = 20;

/**
 * Lets happen what somebody asks of a deployment, whatever else happens to it at the same time.
 * @throws DomainError NOT_FOUND, or FAILED_PRECONDITION if it cannot be.
 */
export async function change(
  context: RolloutContext,
  id: string,
  event: DeploymentEvent,
  tokenId: string,
): Promise<Moved> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const read = await readDeployment(context.db, id);
    if (read === undefined) throw notFound("deployment", id);
    const moved = await move(context, read, event, tokenId);
    if (moved !== undefined) return moved;
  }
  throw aborted("DEPLOYMENT_BUSY", `deployment ${id} changed at every attempt; try again`);
}
