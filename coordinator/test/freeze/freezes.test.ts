import { suite } from "uvu";
import * as assert from "uvu/assert";
import { freezesOf } from "../../src/freeze/freezes.js";
import { uuidv7 } from "../../src/uuid.js";
import { addApplication, openTestDatabase, type TestDatabase } from "../postgres.js";

const test = suite("freezes");
let database: TestDatabase;
test.before(async () => {
  database = await openTestDatabase();
  for (const name of ["shop", "bank"]) await addApplication(database.db, name);
});
test.after(() => database?.close());

test("those in force on the application or a region, the first to expire in front", async () => {
  const { db } = database;
  const freeze = (reason: string, of: object, minutes: number, ended = false) =>
    db("freezes").insert({
      id: uuidv7(),
      actor: "ada",
      reason,
      ...of,
      expire_time: db.raw(`clock_timestamp() + ${minutes} * interval '1 minute'`),
      end_time: ended ? db.raw("clock_timestamp()") : null,
    });
  await freeze("shop", { application: "shop" }, 60);
  await freeze("eu", { region: "eu" }, 30);
  await freeze("expired", { application: "shop" }, -1);
  await freeze("ended", { region: "eu" }, 60, true);
  await freeze("bank", { application: "bank" }, 60);
  await freeze("us", { region: "us" }, 60);
  const found = await freezesOf(db, "shop", ["eu", "ap"]);
  assert.equal(
    found.map(({ reason, application, region }) => [reason, application, region]),
    [
      ["eu", "", "eu"],
      ["shop", "shop", ""],
    ],
  );
  assert.equal(await freezesOf(db, "other", []), []);
});

test.run();
