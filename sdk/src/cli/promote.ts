import { Deployment } from "@slipway/proto";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { findDeployment, TARGET, TARGET_HELP } from "./target.js";
import { plain } from "./text.js";

export const addPromote: AddCommand = (group, run) => {
  group
    .command("promote")
    .summary("let the step begin that a deployment waits for")
    .description(
      "Lets the next step of a deployment begin that is WAITING: with manual promotion before every " +
        "step but the first, and before a wave that requires approval, which must be somebody else's " +
        "than the deployment's creator.",
    )
    .argument(TARGET, TARGET_HELP)
    .option("--reason <text>", "why, for people to read later")
    .addHelpText("after", '\nExample:\n  slipway promote web --reason "error rate is flat"')
    .action(
      run(async (session, target: string, options: { reason?: string }) => {
        const { client, signal, user } = session;
        const { id, step } = await findDeployment(session, target);
        const request = { actor: user, reason: options.reason ?? "", step };
        const deployment = await client.deployments.promote(id, request, { signal });
        await print(
          session,
          () => ({ deployment: messageJson(Deployment, deployment) }),
          () =>
            `step ${step} of ${deployment.steps.length} of deployment ${plain(id)} of ` +
            `${plain(deployment.application)} may begin\nWatch it with: slipway watch ${plain(id)}\n`,
        );
      }),
    );
};
