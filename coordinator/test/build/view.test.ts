import { Build, BuildStatus, Replication, ReplicationState } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addReplications, viewBuilds } from "../../src/build/view.js";
import { silent } from "../postgres.js";

const digest = `sha256:${"a".repeat(64)}`;
const regions = ["eu", "us"];
const succeeded = Build.fromPartial({ status: BuildStatus.SUCCEEDED, artifact: { digest } });
const replication = (region: string, state: ReplicationState): Replication =>
  Replication.fromPartial({ region, state, artifactDigest: digest });
const { COMPLETE, COPYING } = ReplicationState;

test("deployable only when complete in all of the build's own regions", () => {
  const table: [Build, Replication[], boolean, number][] = [
    [succeeded, [], false, 0],
    [succeeded, [replication("eu", COMPLETE)], false, 1],
    [succeeded, [replication("eu", COMPLETE), replication("us", COPYING)], false, 2],
    [succeeded, [replication("eu", COMPLETE), replication("us", COMPLETE)], true, 2],
    // Another application with the same artifact has more regions.
    [succeeded, [...regions, "ap"].map((region) => replication(region, COMPLETE)), true, 2],
    [Build.fromPartial({ status: BuildStatus.RUNNING }), [], false, 0],
  ];
  for (const [build, known, deployable, count] of table) {
    const view = addReplications({ build, regions }, new Map([[digest, known]]));
    assert.equal([view.deployable, view.replications.length], [deployable, count]);
  }
});

test("builds are shown without replications while those can't be read", async () => {
  const replicationStatus = { get: () => Promise.reject(new Error("connection terminated")) };
  const [view] = await viewBuilds({ replicationStatus, log: silent }, [
    { build: succeeded, regions },
  ]);
  assert.equal(view, succeeded);
});

test.run();
