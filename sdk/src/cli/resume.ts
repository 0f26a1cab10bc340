import { Deployment, DeploymentState } from "@slipway/proto";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { findDeployment, TARGET, TARGET_HELP } from "./target.js";
import { plain } from "./text.js";

export const addResume: AddCommand = (group, run) => {
  group
    .command("resume")
    .summary("go on with a paused deployment")
    .description(
      "Goes on with a deployment that was paused, where it stopped. One that pauses itself because " +
        "hosts or a region are silent goes on by itself once they are heard; resumed before, it goes on " +
        "without those that are silent then, and pauses again for more. Resuming what is not paused " +
        "changes nothing.",
    )
    .argument(TARGET, TARGET_HELP)
    .option("--reason <text>", "why, for people to read later")
    .addHelpText("after", "\nExample:\n  slipway resume web && slipway watch web")
    .action(
      run(async (session, target: string, options: { reason?: string }) => {
        const { client, signal, user } = session;
        const { id } = await findDeployment(session, target);
        const request = { actor: user, reason: options.reason ?? "" };
        const deployment = await client.deployments.resume(id, request, { signal });
        const waits = deployment.state === DeploymentState.WAITING;
        await print(
          session,
          () => ({ deployment: messageJson(Deployment, deployment) }),
          () =>
            `deployment ${plain(id)} of ${plain(deployment.application)} ` +
            (waits
              ? `waits for somebody to promote it\nPromote it with: slipway promote ${plain(id)}\n`
              : `goes on\nWatch it with: slipway watch ${plain(id)}\n`),
        );
      }),
    );
};
