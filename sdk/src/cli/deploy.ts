import { Deployment, PlanDeploymentResponse } from "@slipway/proto";
import { UsageError } from "./exit-code.js";
import { inFile, type FileText } from "./file-text.js";
import { followDeployment } from "./follow-deployment.js";
import { messageJson } from "./json.js";
import { planText } from "./render/plan.js";
import type { AddCommand } from "./run.js";
import { lookOf, note, print, type Session } from "./session.js";
import { readStrategyFile } from "./strategy-file.js";
import { plain } from "./text.js";

interface Options {
  waitReplication?: boolean;
  strategy?: string;
  plan?: boolean;
  overrideFreeze?: boolean;
  detach?: boolean;
  reason?: string;
}

export const addDeploy: AddCommand = (group, run) => {
  group
    .command("deploy")
    .summary("run a build on every host of its application")
    .description(
      "Makes a build what runs in all of its application's regions, step by step as the application's " +
        "strategy says, and shows how it gets there until it has ended. Exits with 0 if it succeeded " +
        "and with 1 if it failed, was aborted or was superseded. Interrupting ends the display only: " +
        "the deployment goes on. A running deployment of the same application is superseded.",
    )
    .argument("<build>", "the build's id")
    .option("--strategy <file>", 'go about it as this file says instead; "-" is standard input')
    .option("--plan", "show what it would do, and change nothing")
    .option("--wait-replication", "wait until the build is in every region, instead of refusing")
    .option("--override-freeze", "although it is frozen; say why with --reason")
    .option("--watch", "show it until it has ended (this is the default)")
    .option("--detach", "only start it, and print its id")
    .option("--reason <text>", "why, for people to read later")
    .addHelpText(
      "after",
      "\nA strategy file holds what stands below `strategy` in an application file:\n" +
        "see slipway app apply --example.\n" +
        "\nExamples:\n" +
        "  slipway deploy 0190… --plan\n" +
        "  slipway deploy 0190… --wait-replication\n" +
        "  slipway deploy 0190… --strategy careful.yaml\n" +
        '  slipway deploy 0190… --override-freeze --reason "fixes the outage"\n' +
        '  slipway deploy 0190… --detach --reason "release 7" --json',
    )
    .action(
      run(async (session, buildId: string, options: Options) => {
        const { client, signal, user } = session;
        const { reason = "", overrideFreeze = false } = options;
        if (overrideFreeze && reason === "") {
          throw new UsageError("say with --reason why the freeze is to be overridden");
        }
        const file = await readStrategyOption(session, options.strategy);
        const request = {
          buildId,
          waitForReplication: options.waitReplication === true,
          overrideFreeze,
          creator: user,
          reason,
          ...(file && { strategy: file.strategy }),
        };
        const refused = (error: unknown): never => {
          throw file === undefined ? error : inFile(error, file);
        };
        if (options.plan === true) {
          const plan = await client.deployments.plan(request, { signal }).catch(refused);
          return printPlan(session, plan);
        }
        const deployment = await client.deployments.create(request, { signal }).catch(refused);
        return started(session, deployment, options.detach === true);
      }),
    );
};

async function readStrategyOption(
  session: Session,
  path: string | undefined,
): Promise<(FileText & ReturnType<typeof readStrategyFile>) | undefined> {
  if (path === undefined) return undefined;
  const name = path === "-" ? "standard input" : path;
  return readStrategyFile(await session.readFile(path), name);
}

/** Prints what would be done. */
export async function printPlan(session: Session, plan: PlanDeploymentResponse): Promise<void> {
  await print(
    session,
    () => ({ plan: messageJson(PlanDeploymentResponse, plan) }),
    () => planText(plan, lookOf(session)),
  );
}

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
