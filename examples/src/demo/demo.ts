import path from "node:path";
import type { LocalFleet } from "../local-fleet/fleet.js";
import { FleetError } from "../local-fleet/fleet-error.js";
import { askHosts } from "./ask-hosts.js";
import type { Display } from "./display.js";
import { fleetMemory } from "./memory.js";
import { buildCommit, follow, verifyOrigin } from "./release.js";
import { bytes, shortSha } from "./render.js";
import { sampleApplication, SAMPLE_APPLICATION } from "./sample-application.js";
import { createSampleRepository } from "./sample-repository.js";
import { type StepFigures, summary } from "./summary.js";

const application = SAMPLE_APPLICATION;
const CHANGED_ASSET = "catalogue";

/**
 * Takes two commits of a service from a git repository to every host of the fleet, goes back to the
 * first, and asks every host over HTTP what it serves after each.
 * @throws FleetError that says which step failed, with the logs that matter.
 */
export async function runDemo(fleet: LocalFleet, display: Display): Promise<void> {
  const client = await fleet.connect("demo", "deployer");
  const release = { fleet, client, display };
  const folder = path.join(fleet.dir, "repository");
  const repository = await createSampleRepository(folder, "Serve the catalogue");
  const spec = sampleApplication(repository.path, fleet.regions);
  // Only an admin may say what runs on hosts.
  await fleet.client.applications.apply({ name: application, spec }, { signal: fleet.broken });
  display.line(`application ${application}, repository ${repository.path}`);

  const figures: StepFigures[] = [];
  const deploy = async (commit: string, title: string): Promise<void> => {
    display.heading(`${title} ${shortSha(commit)}`);
    const { build, times } = await buildCommit(release, application, commit);
    await verifyOrigin(release, build, repository.path);
    const deployed = await follow(release, "deploy", (signal) =>
      client.deployments.create({ buildId: build.id, reason: title }, { signal }),
    );
    await verify(fleet, display, commit);
    figures.push({ title: shortSha(commit), ...times, ...deployed });
  };

  const first = repository.head;
  await deploy(first, "Build and deploy the first commit,");
  const second = await repository.change(CHANGED_ASSET, "Renew the catalogue");
  await deploy(second, `Change ${CHANGED_ASSET}, build and deploy the second commit,`);

  display.heading(`Roll back to ${shortSha(first)}`);
  const back = await follow(release, "roll back", (signal) =>
    client.deployments.rollBack({ application, reason: "demo" }, { signal }),
  );
  await verify(fleet, display, first);
  if (back.fromPeers + back.fromSeeders > 0) {
    throw new FleetError(`the roll-back moved ${bytes(back.fromPeers + back.fromSeeders)}`, []);
  }
  figures.push({ title: "roll back", ...back });

  display.heading("In figures");
  for (const line of summary(figures, fleet.regions.length, await fleetMemory(fleet))) {
    display.line(line);
  }
}

async function verify(fleet: LocalFleet, display: Display, commit: string): Promise<void> {
  const activity = display.activity("ask");
  const faults = await askHosts(fleet.hosts, commit, CHANGED_ASSET, fleet.broken);
  if (faults.length > 0) {
    activity.failed();
    const said = faults.map(({ host, fault }) => `${host}: ${fault}`).join("; ");
    const what = `${faults.length} of ${fleet.hosts.length} hosts do not serve ${commit}: ${said}`;
    throw new FleetError(what, await fleet.logTails(faults.slice(0, 2).map(({ host }) => host)));
  }
  activity.done(
    `${fleet.hosts.length} of ${fleet.hosts.length} services answer ${shortSha(commit)}`,
  );
}
