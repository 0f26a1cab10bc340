import type { Knex } from "knex";
import { failedPrecondition, invalidArgument } from "../errors.js";
import { deploy, findAsked, type Asked, type Choice } from "./deployer.js";
import type { StoredDeployment } from "./deployment.js";
import * as store from "./deployment-store.js";
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
  return deploy(context, application, asked, async (trx) => {
    const present = await store.newestDeployment(trx, application);
    if (present === undefined) {
      throw nothing(`${application} was never deployed`);
    }
    const target =
      toBuildId === ""
        ? await newestBefore(trx, application, present)
        : await deployedBefore(trx, application, toBuildId, present);
    return restore(target);
  });
}

async function newestBefore(
  trx: Knex.Transaction,
  application: string,
  present: StoredDeployment,
): Promise<StoredDeployment> {
  const { buildId } = present.deployment;
  const target = await store.newestSucceeded(trx, application, buildId);
  if (target !== undefined) return target;
  throw nothing(`no deployment of another build than ${buildId} of ${application} has succeeded`);
}

async function deployedBefore(
  trx: Knex.Transaction,
  application: string,
  buildId: string,
  present: StoredDeployment,
): Promise<StoredDeployment> {
  const plan = await planRelease(trx, buildId);
  if (plan.application !== application) {
    const description = `is a build of ${plan.application}, not of ${application}`;
    throw invalidArgument([{ field: "to_build_id", description }]);
  }
  if (present.deployment.buildId === buildId) {
    throw nothing(`build ${buildId} is the present deployment's; to do it again, deploy it`);
  }
  const target = await store.newestStartedOf(trx, application, buildId);
  if (target !== undefined) return target;
  throw nothing(`build ${buildId} was never deployed; deploy it instead`);
}

function restore({ goal }: StoredDeployment): Choice {
  const { run: release, regions, selector } = goal;
  return { release, regions, selector, isRollback: true, started: true };
}

function nothing(why: string): Error {
  return failedPrecondition("NOTHING_TO_ROLL_BACK_TO", why);
}
