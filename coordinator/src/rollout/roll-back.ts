import type { Knex } from "knex";
import { failedPrecondition, invalidArgument } from "../errors.js";
import { deploy, findAsked, type Asked, type Choose } from "./deployer.js";
import type { StoredDeployment } from "./deployment.js";
import * as store from "./deployment-store.js";
import { rollBackStrategy } from "./plan-steps.js";
import type { Choice } from "./prepare.js";
import { planRelease } from "./release.js";
import type { RolloutContext } from "./rollout-context.js";

/**
 * Deploys again what ran before, with its application revision: the newest release that succeeded
 * and is not of the present deployment's build, or the build asked for. It never waits for regional
 * stores, since hosts keep their previous release.
 * @param toBuildId empty for the newest.
 * @throws DomainError NOT_FOUND for an unknown application or build, FAILED_PRECONDITION if there
 *   is nothing to go back to.
 */
export async function rollBack(
  context: RolloutContext,
  application: string,
  toBuildId: string,
  asked: Asked,
): Promise<StoredDeployment> {
  const before = await findAsked(context.db, asked);
  if (before !== undefined) return before;
  return deploy(context, application, asked, chooseEarlier(application, toBuildId));
}

/** Chooses what to go back to. @param toBuildId empty for the newest. */
export function chooseEarlier(application: string, toBuildId: string): Choose {
  return async (db) => {
    const present = await store.newestDeployment(db, application);
    if (present === undefined) {
      throw nothing(`${application} was never deployed`);
    }
    const target =
      toBuildId === ""
        ? await newestBefore(db, application, present)
        : await deployedBefore(db, application, toBuildId, present);
    return restore(target);
  };
}

async function newestBefore(
  db: Knex,
  application: string,
  present: StoredDeployment,
): Promise<StoredDeployment> {
  const { buildId } = present.deployment;
  const target = await store.newestSucceeded(db, application, buildId);
  if (target !== undefined) return target;
  throw nothing(`no deployment of another build than ${buildId} of ${application} has succeeded`);
}

async function deployedBefore(
  db: Knex,
  application: string,
  buildId: string,
  present: StoredDeployment,
): Promise<StoredDeployment> {
  const plan = await planRelease(db, buildId);
  if (plan.application !== application) {
    const description = `is a build of ${plan.application}, not of ${application}`;
    throw invalidArgument([{ field: "to_build_id", description }]);
  }
  if (present.deployment.buildId === buildId) {
    throw nothing(`build ${buildId} is the present deployment's; to do it again, deploy it`);
  }
  const target = await store.newestStartedOf(db, application, buildId);
  if (target !== undefined) return target;
  throw nothing(`build ${buildId} was never deployed; deploy it instead`);
}

/** Hosts have the bytes, and nothing holds up a way out of trouble. */
function restore({ goal, strategy: own }: StoredDeployment): Choice {
  const { run: release, regions, selector } = goal;
  const strategy = rollBackStrategy(own);
  return { release, regions, selector, strategy, isRollback: true, overrideFreeze: false };
}

function nothing(why: string): Error {
  return failedPrecondition("NOTHING_TO_ROLL_BACK_TO", why);
}
