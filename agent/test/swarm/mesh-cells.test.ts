import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeArtifact } from "../store/fixtures.js";
import { type Member, Region, contentOf, fetchAll, put, until } from "./fixtures.js";

const test = suite<{ region: Region }>("mesh cells");
test.before.each((context) => {
  context.region = new Region();
});
test.after.each(({ region }) => region.close());

const home = ({ swarm }: Member): number => swarm.stats.homeNeighbours;

test("thirty hosts have 8 to 12 neighbours each, nobody more, and each knows the seeder", async ({
  region,
}) => {
  await region.join("region");
  const hosts: Member[] = [];
  for (let started = 0; started < 30; started += 10) {
    hosts.push(...(await Promise.all(Array.from({ length: 10 }, () => region.join("host")))));
  }
  await until(
    () => hosts.every((host) => home(host) >= 8 && host.swarm.stats.seederNeighbours === 1),
    "eight neighbours and the seeder each",
    60_000,
  );
  const degrees = hosts.map(home);
  assert.ok(Math.max(...degrees) <= 12, degrees.join(" "));
});

test("whoever is refused finds a place elsewhere", async ({ region }) => {
  await region.join("region");
  const hosts = await Promise.all(
    Array.from({ length: 12 }, () => region.join("host", { maxPeers: 3 })),
  );
  await until(() => hosts.every((host) => home(host) >= 1), "a neighbour each");
  assert.ok(
    hosts.every((host) => home(host) <= 5),
    hosts.map(home).join(" "),
  );
});

test("a cell whose seeders are away gets an artifact through its neighbouring cell", async ({
  region,
}) => {
  // It has nothing to give, and is in the other cell.
  await region.join("region");
  const other = await Promise.all([region.join("host"), region.join("host")]);
  const cell = await Promise.all(
    [1, 2, 3].map(() => region.join("host", { cell: "c2", neighbourCells: ["c1"] })),
  );
  await until(
    () =>
      cell.every((host) => home(host) === 2 && host.swarm.stats.neighbours >= 5) &&
      other.every((host) => home(host) === 1),
    "links within the cell, and two into the other",
  );
  const { content, manifest } = makeArtifact([100_000, 200_000, 5, 300_000]);
  const [giver] = other;
  if (giver === undefined) throw new Error("no host");
  await put(giver.store, content, manifest);
  giver.swarm.announce(manifest.digest);
  await Promise.all(
    cell.map(async (host) => {
      const { last } = await fetchAll(host, manifest.digest);
      assert.is(last.fromPeers, content.length);
      assert.ok((await contentOf(host.store, manifest.digest)).equals(content));
    }),
  );
});

test("a cell must have a name", async ({ region }) => {
  const wrong = [{ cell: "No Name" }, { neighbourCells: ["c1", ""] }];
  for (const options of wrong) {
    const error = await region.join("host", options).catch((reason: unknown) => reason);
    assert.match(String(error), "not the name of a cell");
  }
});

test.run();
