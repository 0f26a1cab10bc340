import type { Deployment } from "@slipway/proto";
import { isFinalDeployment } from "../deployment-watch.js";
import { SlipwayError } from "../errors.js";
import type { Session } from "./session.js";

/** How --help names what `findDeployment` takes. */
export const TARGET = "<deployment|app>";
export const TARGET_HELP = "a deployment's id, or an application for its deployment under way";

/** Deployments of an application that are looked at: the one under way is among the newest. */
const NEWEST = 10;

export function isDeploymentId(target: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(target);
}

/**
 * The deployment of this id, or the one under way of the application of this name.
 * @throws SlipwayError NOT_FOUND for an unknown one, FAILED_PRECONDITION if none is under way.
 */
export async function findDeployment(session: Session, target: string): Promise<Deployment> {
  const { client, signal } = session;
  if (isDeploymentId(target)) {
    return (await client.deployments.get(target, { signal })).deployment;
  }
  const filter = { application: target, pageSize: NEWEST };
  const { items } = await client.deployments.listPage(filter, { signal });
  const active = items.find((deployment) => !isFinalDeployment(deployment));
  if (active !== undefined) return active;
  // A name that nobody has is another mistake than one without a deployment.
  await client.applications.get(target, { signal });
  throw new SlipwayError({
    code: "FAILED_PRECONDITION",
    reason: "NO_DEPLOYMENT_UNDER_WAY",
    message: `no deployment of ${target} is under way; see the last ones with: slipway status ${target}`,
  });
}
