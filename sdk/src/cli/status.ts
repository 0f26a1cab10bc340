import { Application, type Deployment } from "@slipway/proto";
import type { DeploymentProgress } from "../deployment-watch.js";
import { progressJson } from "./follow-deployment.js";
import { messageJson } from "./json.js";
import { agoText } from "./quantities.js";
import { regionListJson } from "./regions.js";
import { deploymentFacts, deploymentTable } from "./render/deployment.js";
import { regionTable } from "./render/fleet.js";
import { paint, type Look } from "./render/style.js";
import { statusTable, type ApplicationStatus } from "./render/status.js";
import type { AddCommand } from "./run.js";
import { lookOf, print, type Session } from "./session.js";
import { plain } from "./text.js";

/** Applications asked about at once. */
const AT_ONCE = 10;
/** Deployments of one application that are shown. */
const RECENT = 5;

export const addStatus: AddCommand = (group, run) => {
  group
    .command("status")
    .summary("what runs where, and what is being deployed")
    .description(
      "Without an application: the regions, and of every application its newest deployment and what " +
        "its hosts run. With one: that deployment region by region, and the ones before it.",
    )
    .argument("[app]", "the application's name")
    .action(
      run(async (session, name: string | undefined) => {
        await (name === undefined ? showFleet(session) : showApplication(session, name));
      }),
    );
};

async function showFleet(session: Session): Promise<void> {
  const { client, signal } = session;
  const list = await client.fleet.regionList({ signal });
  const statuses: ApplicationStatus[] = [];
  let batch: Application[] = [];
  const flush = async (): Promise<void> => {
    const asked = batch.map(async (application) => {
      const [newest] = await recent(session, application.name, 1);
      return { application, newest: newest && isOver(application, newest) ? undefined : newest };
    });
    statuses.push(...(await Promise.all(asked)));
    batch = [];
  };
  for await (const application of client.applications.list({ signal })) {
    batch.push(application);
    if (batch.length === AT_ONCE) await flush();
  }
  await flush();
  const look = lookOf(session);
  await print(
    session,
    () => ({
      ...regionListJson(list),
      applications: statuses.map(({ application, newest }) => ({
        application: messageJson(Application, application),
        ...(newest && progressJson(newest)),
      })),
    }),
    () => `${regionTable(list, look)}\n${statusTable(statuses, look)}`,
  );
}

async function showApplication(session: Session, name: string): Promise<void> {
  const { signal } = session;
  const application = await session.client.applications.get(name, { signal });
  const shown = await recent(session, name, RECENT);
  const [first] = shown;
  // Applied again after it was removed, it is one that was not deployed yet.
  const newest = first && isOver(application, first) ? undefined : first;
  const before = shown.slice(newest === undefined ? 0 : 1);
  const look = lookOf(session);
  await print(
    session,
    () => ({
      application: messageJson(Application, application),
      ...(newest && progressJson(newest)),
    }),
    () => {
      const earlier = before.map(({ deployment }) => deployment);
      const history = earlier.length === 0 ? "" : `\n${deploymentTable(earlier, look)}`;
      if (newest === undefined) {
        const since = earlier.length === 0 ? "" : `\n${removedSince(look)}`;
        return `${statusTable([{ application, newest }], look)}${since}${history}`;
      }
      return `${removedText(application, look)}${deploymentFacts(newest, look)}${history}`;
    },
  );
}

/** Whether it was deployed before the application was removed, which was applied again since. */
function isOver(
  { removeTime, removalGeneration }: Application,
  { deployment }: DeploymentProgress,
): boolean {
  return removeTime === undefined && deployment.generation < removalGeneration;
}

function removedSince(look: Look): string {
  const text = "It was removed after these, and applied again: no host runs them";
  return `${paint(look, "yellow", text)}\n`;
}

/** What the newest deployment does not say: that its hosts have stopped it since. */
function removedText({ name, removeTime }: Application, look: Look): string {
  if (removeTime === undefined) return "";
  const text = `${plain(name)} was removed ${agoText(removeTime, look.now)}: no host runs it`;
  return `${paint(look, "yellow", text)}\n\n`;
}

/** The newest deployments of an application, the first with its progress. */
async function recent(
  { client, signal }: Session,
  application: string,
  count: number,
): Promise<DeploymentProgress[]> {
  const filter = { application, pageSize: count };
  const { items } = await client.deployments.listPage(filter, { signal });
  const withProgress = async (deployment: Deployment): Promise<DeploymentProgress> =>
    deployment === items[0]
      ? client.deployments.get(deployment.id, { signal })
      : { deployment, regions: [], totals: undefined };
  return Promise.all(items.slice(0, count).map(withProgress));
}
