import { execFile } from "node:child_process";
import { rename, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { type Build, type Deployment, DeploymentState, durationFromMs } from "@slipway/sdk";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { askHosts } from "../../src/demo/ask-hosts.js";
import { sampleApplication } from "../../src/demo/sample-application.js";
import { createSampleRepository } from "../../src/demo/sample-repository.js";
import { type LocalFleet, startLocalFleet } from "../../src/local-fleet/index.js";
import { waitFor } from "../wait-for.js";

const run = promisify(execFile);
const application = "shop";

/** Does something to the databases' files while neither they nor a coordinator run. */
async function whileStopped(
  fleet: LocalFleet,
  work: (data: string) => Promise<unknown>,
): Promise<void> {
  const postgres = fleet.servers.get("postgres");
  await fleet.process("coordinator").stop();
  await postgres?.stop();
  await work(path.join(fleet.dir, "postgres"));
  await postgres?.start();
  await fleet.process("coordinator").start();
}

// As coordinator/README.md says it is done.
test("a fleet whose databases are those of a backup runs on, and is deployed to again", async () => {
  const signal = AbortSignal.timeout(200_000);
  const fleet = await startLocalFleet({ regions: ["eu"], hostsPerRegion: 2, builders: 1 });
  try {
    const { client, dir } = fleet;
    const repository = await createSampleRepository(path.join(dir, "repository"), "First");
    const waves = [{ regions: ["*"], percents: [100], bakeTime: durationFromMs(0) }];
    const strategy = { waves, maxSwitchingPercent: 100 };
    const spec = { ...sampleApplication(repository.path, ["eu"]), strategy };
    await client.applications.apply({ name: application, spec });
    const build = async (): Promise<Build> => {
      const commitSha = repository.head;
      const { build: made } = await client.builds.submit({ application, commitSha }, { signal });
      return client.builds.waitUntilDeployable(made.id, { signal });
    };
    const succeeded = async (id: string): Promise<Deployment> => {
      const { deployment } = await client.deployments.waitUntilFinished(id, { signal });
      assert.is(deployment.state, DeploymentState.SUCCEEDED, deployment.failure?.message);
      return deployment;
    };
    const deploy = async ({ id }: Build): Promise<Deployment> => {
      const { id: created } = await client.deployments.create({ buildId: id });
      return succeeded(created);
    };
    const serve = async (commit: string): Promise<void> =>
      assert.equal(await askHosts(fleet.hosts, commit, "catalogue", signal), []);

    await deploy(await build());
    await whileStopped(fleet, (data) => run("cp", ["-a", data, `${data}.saved`]));
    await repository.change("catalogue", "Second");
    const lost = await build();
    assert.is((await deploy(lost)).generation, 2);
    await fleet.connect("made since", "viewer");
    await whileStopped(fleet, async (data) => {
      await rm(data, { recursive: true });
      await rename(`${data}.saved`, data);
    });

    // Hosts run what the databases know nothing of.
    await waitFor(
      async () => {
        const { items } = await client.fleet.hostsPage({ application });
        const commits = items.map(({ status }) => status?.applications[0]?.runningCommitSha);
        return commits.length === 2 && commits.every((commit) => commit === lost.commitSha);
      },
      60_000,
      "all hosts with the second commit",
    );
    await serve(repository.head);
    const { items: known } = await client.deployments.listPage({ application });
    assert.equal(
      known.map(({ generation }) => generation),
      [1],
    );
    const { items: tokens } = await client.tokens.listPage({});
    assert.not.ok(tokens.some(({ name }) => name === "made since"));

    const again = await build();
    assert.is.not(again.id, lost.id);
    assert.is((await deploy(again)).generation, 3, "above what hosts have obeyed");
    await serve(repository.head);
    const back = await client.deployments.rollBack({ application });
    assert.is(back.generation, 4);
    await succeeded(back.id);
  } finally {
    await fleet.stop();
  }
});

test.run();
