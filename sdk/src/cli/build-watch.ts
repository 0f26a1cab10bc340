import { followBuild } from "./follow-build.js";
import type { AddCommand } from "./run.js";

export const addBuildWatch: AddCommand = (group, run) => {
  group
    .command("watch")
    .summary("show a build's log and states until it has ended")
    .description(
      "Shows a build's log and every change of its state until it has ended. Exits with 0 if it " +
        "succeeded and 1 if it failed. Survives restarts of coordinators.",
    )
    .argument("<build>", "the build's id")
    .option("--no-logs", "only the changes of its state")
    .option("--until-deployable", "go on until it is in every region")
    .action(
      run(async (session, id: string, options: { logs: boolean; untilDeployable?: boolean }) =>
        followBuild(session, id, {
          logs: options.logs,
          untilDeployable: options.untilDeployable === true,
        }),
      ),
    );
};
