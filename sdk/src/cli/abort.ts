import { Deployment } from "@slipway/proto";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { findDeployment, TARGET, TARGET_HELP } from "./target.js";
import { plain } from "./text.js";

interface Options {
  keepSwitched?: boolean;
  reason?: string;
}

export const addAbort: AddCommand = (group, run) => {
  group
    .command("abort")
    .summary("end a deployment, and put back what ran before")
    .description(
      "Ends a deployment as ABORTED, in whatever state it is. Hosts that have switched, for it or for " +
        "one that it superseded, go back to what ran before, by a deployment of its own, unless told to " +
        "stay. Aborting what is ABORTED changes nothing.",
    )
    .argument(TARGET, TARGET_HELP)
    .option("--keep-switched", "leave hosts that have switched as they are")
    .option("--reason <text>", "why, for people to read later")
    .addHelpText("after", '\nExample:\n  slipway abort web --reason "wrong build"')
    .action(
      run(async (session, target: string, options: Options) => {
        const { client, signal, user } = session;
        const { id } = await findDeployment(session, target);
        const keepSwitched = options.keepSwitched === true;
        const request = { actor: user, reason: options.reason ?? "", keepSwitched };
        const { deployment, rollBack } = await client.deployments.abort(id, request, { signal });
        await print(
          session,
          () => ({
            deployment: messageJson(Deployment, deployment),
            ...(rollBack && { rollBack: messageJson(Deployment, rollBack) }),
          }),
          () =>
            `deployment ${plain(id)} of ${plain(deployment.application)} is aborted\n` +
            whatFollows(rollBack, keepSwitched, deployment.previousBuildId !== ""),
        );
      }),
    );
};

function whatFollows(
  rollBack: Deployment | undefined,
  keepSwitched: boolean,
  hasPrevious: boolean,
): string {
  if (rollBack !== undefined) {
    const back = plain(rollBack.id);
    return `deployment ${back} puts back what ran before\nWatch it with: slipway watch ${back}\n`;
  }
  if (keepSwitched) return "hosts that have switched stay as they are\n";
  return hasPrevious
    ? "no host has switched yet\n"
    : "nothing ran before: hosts stay as they are\n";
}
