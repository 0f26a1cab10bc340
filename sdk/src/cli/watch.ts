import { followDeployment } from "./follow-deployment.js";
import type { AddCommand } from "./run.js";
import { findDeployment, isDeploymentId, TARGET, TARGET_HELP } from "./target.js";

export const addWatch: AddCommand = (group, run) => {
  group
    .command("watch")
    .summary("show a deployment's progress until it has ended")
    .description(
      "Shows how far a deployment is in each region until it has ended: bars on a terminal, else a line " +
        "for each change. Exits with 0 if it succeeded and with 1 if it failed, was aborted or was " +
        "superseded. Survives restarts of coordinators.",
    )
    .argument(TARGET, TARGET_HELP)
    .action(
      run(async (session, target: string) => {
        // A watch waits longer for a coordinator than looking for the deployment would.
        const id = isDeploymentId(target) ? target : (await findDeployment(session, target)).id;
        return followDeployment(session, id);
      }),
    );
};
