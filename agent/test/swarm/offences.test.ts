import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Offences } from "../../src/swarm/offences.js";

const test = suite("offences");
const host = { id: "host", seeder: false };
const seeder = { id: "seeder", seeder: true };

test("a host is kept away for a minute, each time", () => {
  const offences = new Offences();
  assert.is(offences.banMs(host, 0), 60_000);
  assert.is(offences.banMs(host, 61_000), 60_000);
});

test("a seeder may come back at once, but only once", () => {
  const offences = new Offences();
  assert.is(offences.banMs(seeder, 0), 1_000);
  assert.is(offences.banMs({ ...seeder, id: "other" }, 1_000), 1_000);
  assert.is(offences.banMs(seeder, 2_000), 60_000);
  assert.is(offences.banMs(seeder, 601_999), 60_000, "since its last offence");
  assert.is(offences.banMs(seeder, 1_201_999), 1_000, "forgotten");
});

test.run();
