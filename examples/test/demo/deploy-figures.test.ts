import type { Host } from "@slipway/sdk";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { deployFigures } from "../../src/demo/deploy-figures.js";

const deployment = { application: "shop", generation: 2 };

function host(hostId: string, generation: number, bytes: [number, number, number]): Host {
  const [bytesFromPeers, bytesFromSeeders, bytesFromLocal] = bytes;
  const phaseTime = new Date(1_000 + bytesFromPeers);
  const said = { application: "shop", generation, bytesTotal: 10, phaseTime };
  const application = { ...said, bytesFromPeers, bytesFromSeeders, bytesFromLocal };
  return { status: { hostId, applications: [application] } } as Host;
}

test("adds up every host's bytes, and takes the last one's time", () => {
  const hosts = [host("a", 2, [4, 6, 0]), host("b", 2, [7, 0, 3])];
  assert.equal(deployFigures(hosts, ["a", "b"], deployment, 900), {
    fromPeers: 11,
    fromSeeders: 6,
    fromLocal: 3,
    lastHost: 107,
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
