import { SlipwayError } from "../errors.js";
import type { RollBackTo } from "../deployment-requests.js";
import { printPlan, started } from "./deploy.js";
import { downloadLines, dropsText } from "./render/plan.js";
import type { AddCommand } from "./run.js";
import { lookOf, note, type Session } from "./session.js";
import { plain } from "./text.js";

/** What it is good to know before a roll-back is not worth more of an outage than this. */
const FORECAST_MS = 2_000;

interface Options {
  to?: string;
  plan?: boolean;
  detach?: boolean;
  reason?: string;
}

export const addRollback: AddCommand = (group, run) => {
  group
    .command("rollback")
    .summary("go back to what ran before")
    .description(
      "Deploys again the build that ran before the present one, or the one given with --to, together " +
        "with the application revision that it had, on all hosts at once. Hosts that still hold it " +
        "download nothing; which ones do is said first, as far as regions answer within 2 s, and then " +
        "it begins without being asked again.",
    )
    .argument("<app>", "the application's name")
    .option("--to <build>", "go back to this build")
    .option("--plan", "show what it would do, and change nothing")
    .option("--watch", "show it until it has ended (this is the default)")
    .option("--detach", "only start it, and print its id")
    .option("--reason <text>", "why, for people to read later")
    .addHelpText("after", '\nExample:\n  slipway rollback web --reason "errors after release 7"')
    .action(
      run(async (session, application: string, options: Options) => {
        const { client, signal, user } = session;
        const request = {
          application,
          toBuildId: options.to ?? "",
          creator: user,
          reason: options.reason ?? "",
        };
        if (options.plan === true) {
          const plan = await client.deployments.planRollBack(request, { signal });
          return printPlan(session, plan);
        }
        if (!session.json) await forecast(session, request);
        const deployment = await client.deployments.rollBack(request, { signal });
        return started(session, deployment, options.detach === true);
      }),
    );
};

/** Says which hosts would have to download it, or to stop. Nothing that goes wrong here stops the roll-back. */
async function forecast(session: Session, request: RollBackTo): Promise<void> {
  const { client, signal } = session;
  const options = { signal, timeoutMs: FORECAST_MS };
  try {
    const plan = await client.deployments.planRollBack(request, options);
    for (const line of downloadLines(plan, lookOf(session))) await note(session, line);
    const drops = dropsText(plan);
    if (drops !== "") await note(session, `drops ${plain(drops)}`);
  } catch (error) {
    signal.throwIfAborted();
    // What is wrong with the request, the roll-back itself says next.
    if (error instanceof SlipwayError && !error.retryable) return;
    const message = plain((error as Error).message);
    await note(session, `going back without knowing which hosts have to download it: ${message}`);
  }
}
