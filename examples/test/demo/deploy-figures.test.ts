import type { Host } from "@slipway/sdk";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { deployFigures } from "../../src/demo/deploy-figures.js";

const deployment = { application: "shop", generation: 2 };

function host(hostId: string, generation: number, bytes: [number, number, number, number?]): Host {
  const [bytesFromPeers, bytesFromSeeders, bytesFromLocal, bytesFromReuse = 0] = bytes;
  const phaseTime = new Date(1_000 + bytesFromPeers);
  const said = { application: "shop", generation, bytesTotal: 10, phaseTime };
  const from = { bytesFromPeers, bytesFromSeeders, bytesFromLocal, bytesFromReuse };
  const application = { ...said, ...from };
  return { status: { hostId, applications: [application] } } as Host;
}

test("adds up every host's bytes, and takes the last one's time", () => {
  const hosts = [host("a", 2, [4, 6, 0]), host("b", 2, [5, 0, 3, 2])];
  assert.equal(deployFigures(hosts, ["a", "b"], deployment, 900), {
    fromPeers: 9,
    fromSeeders: 6,
    fromLocal: 3,
    fromReuse: 2,
    lastHost: 105,
  });
});

test("a host that says nothing of this deployment, or not of all bytes, is named", () => {
  const told = host("a", 2, [10, 0, 0]);
  for (const other of [
    host("c", 2, [10, 0, 0]),
    host("b", 1, [10, 0, 0]),
    host("b", 2, [9, 0, 0]),
  ]) {
    assert.throws(() => deployFigures([told, other], ["a", "b"], deployment, 0), /: b$/);
  }
  assert.throws(() => deployFigures([], ["a", "b"], deployment, 0), /: a, b$/);
});

test.run();
