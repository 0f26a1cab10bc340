import { started } from "./deploy.js";
import type { AddCommand } from "./run.js";

interface Options {
  to?: string;
  detach?: boolean;
  reason?: string;
}

export const addRollback: AddCommand = (group, run) => {
  group
    .command("rollback")
    .summary("go back to what ran before")
    .description(
      "Deploys again the build that ran before the present one, or the one given with --to, together " +
        "with the application revision that it had. Hosts still hold it: nothing is downloaded again.",
    )
    .argument("<app>", "the application's name")
    .option("--to <build>", "go back to this build")
    .option("--watch", "show it until it has ended (this is the default)")
    .option("--detach", "only start it, and print its id")
    .option("--reason <text>", "why, for people to read later")
    .addHelpText("after", '\nExample:\n  slipway rollback web --reason "errors after release 7"')
    .action(
      run(async (session, application: string, options: Options) => {
        const { client, signal, user } = session;
        const deployment = await client.deployments.rollBack(
          {
            application,
            toBuildId: options.to ?? "",
            creator: user,
            reason: options.reason ?? "",
          },
          { signal },
        );
        return started(session, deployment, options.detach === true);
      }),
    );
};
