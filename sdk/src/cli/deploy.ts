import { Deployment } from "@slipway/proto";
import { followDeployment } from "./follow-deployment.js";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { note, print, type Session } from "./session.js";
import { plain } from "./text.js";

interface Options {
  waitReplication?: boolean;
  detach?: boolean;
  reason?: string;
}

export const addDeploy: AddCommand = (group, run) => {
  group
    .command("deploy")
    .summary("run a build on every host of its application")
    .description(
      "Makes a build what runs in all of its application's regions, and shows how it gets there until " +
        "it has ended. Exits with 0 if every host runs it. Interrupting ends the display only: the " +
        "deployment goes on. A running deployment of the same application is superseded.",
    )
    .argument("<build>", "the build's id")
    .option("--wait-replication", "wait until the build is in every region, instead of refusing")
    .option("--watch", "show it until it has ended (this is the default)")
    .option("--detach", "only start it, and print its id")
    .option("--reason <text>", "why, for people to read later")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  slipway deploy 0190… --wait-replication\n" +
        '  slipway deploy 0190… --detach --reason "release 7" --json',
    )
    .action(
      run(async (session, buildId: string, options: Options) => {
        const { client, signal, user } = session;
        const deployment = await client.deployments.create(
          {
            buildId,
            waitForReplication: options.waitReplication === true,
            creator: user,
            reason: options.reason ?? "",
          },
          { signal },
        );
        return started(session, deployment, options.detach === true);
      }),
    );
};

/** Goes on with a deployment that was just made. */
export async function started(
  session: Session,
  deployment: Deployment,
  detach: boolean,
): Promise<number | undefined> {
  const id = plain(deployment.id);
  if (!detach) {
    if (!session.json) await note(session, `deployment ${id}`);
    return followDeployment(session, deployment.id);
  }
  await print(
    session,
    () => ({ deployment: messageJson(Deployment, deployment) }),
    () => `deployment ${id} has started\nWatch it with: slipway watch ${id}\n`,
  );
  return undefined;
}
