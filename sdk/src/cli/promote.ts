import { Deployment, type Freeze } from "@slipway/proto";
import { SlipwayError } from "../errors.js";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { frozenText } from "./render/freeze.js";
import { lookOf, print, type Session } from "./session.js";
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
        const freezes = session.json ? [] : await freezesOf(session, deployment, step);
        const { application, steps } = deployment;
        const named = `step ${step} of ${steps.length} of deployment ${plain(id)} of ${plain(application)}`;
        await print(
          session,
          () => ({ deployment: messageJson(Deployment, deployment) }),
          () =>
            `${named} ${freezes.length === 0 ? "may begin" : "is promoted, and frozen (unless it was made with --override-freeze)"}\n` +
            freezes.map((freeze) => `${frozenText(freeze, lookOf(session))}\n`).join("") +
            `Watch it with: slipway watch ${plain(id)}\n`,
        );
      }),
    );
};

/** What holds the step up; nothing if that is not told: it is promoted all the same. */
async function freezesOf(
  { client, signal }: Session,
  { application, steps }: Deployment,
  step: number,
): Promise<Freeze[]> {
  const regions = steps[step - 1]?.regions ?? [];
  try {
    const freezes = await client.freezes.list({ signal });
    return freezes.filter(
      (freeze) => freeze.application === application || regions.includes(freeze.region),
    );
  } catch (error) {
    if (error instanceof SlipwayError) return [];
    throw error;
  }
}
