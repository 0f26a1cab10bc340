import { followDeployment } from "./follow-deployment.js";
import type { AddCommand } from "./run.js";

export const addWatch: AddCommand = (group, run) => {
  group
    .command("watch")
    .summary("show a deployment's progress until it has ended")
    .description(
      "Shows how far a deployment is in each region until it has ended: bars on a terminal, else a line " +
        "for each change. Exits with 0 if it succeeded and with 1 if it failed, was aborted or was " +
        "superseded. Survives restarts of coordinators.",
    )
    .argument("<deployment>", "the deployment's id, as deploy and status APP say it")
    .action(run(async (session, id: string) => followDeployment(session, id)));
};
