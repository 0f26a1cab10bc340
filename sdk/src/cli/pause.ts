import { Deployment } from "@slipway/proto";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { findDeployment, TARGET, TARGET_HELP } from "./target.js";
import { plain } from "./text.js";

export const addPause: AddCommand = (group, run) => {
  group
    .command("pause")
    .summary("tell no further host to switch, until resume")
    .description(
      "Stops a deployment where it is: hosts that were told to switch go on, no further one is told. " +
        "Time that it is paused counts towards no deadline. Pausing what is paused changes nothing.",
    )
    .argument(TARGET, TARGET_HELP)
    .option("--reason <text>", "why, for people to read later")
    .addHelpText("after", '\nExample:\n  slipway pause web --reason "errors in eu"')
    .action(
      run(async (session, target: string, options: { reason?: string }) => {
        const { client, signal, user } = session;
        const { id } = await findDeployment(session, target);
        const request = { actor: user, reason: options.reason ?? "" };
        const deployment = await client.deployments.pause(id, request, { signal });
        await print(
          session,
          () => ({ deployment: messageJson(Deployment, deployment) }),
          () =>
            `deployment ${plain(id)} of ${plain(deployment.application)} is paused\n` +
            `Go on with: slipway resume ${plain(id)}\n`,
        );
      }),
    );
};
