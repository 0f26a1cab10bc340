import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkSpec } from "../../src/application/spec.js";
import { applyApplication, getApplication, listApplications } from "../../src/application/store.js";
import { DomainError } from "../../src/errors.js";
import { Violations } from "../../src/validate.js";
import { goodSpec, openTestDatabase, type TestDatabase } from "../postgres.js";

const test = suite("application store");
let database: TestDatabase;
test.before(async () => {
  database = await openTestDatabase();
});
test.after(() => database.close());

const checked = (regions: string[]) => checkSpec(goodSpec({ regions }), new Violations());
const apply = (name: string, regions: string[], expected = 0) =>
  applyApplication(database.db, name, checked(regions), expected);
const reasonOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DomainError) return error.reason;
    throw error;
  }
  return "none";
};

test("a revision only if the spec differs", async () => {
  const first = await apply("shop", ["eu"]);
  assert.equal([first.changed, first.application.revision], [true, 1]);
  const same = await apply("shop", ["eu"]);
  assert.equal([same.changed, same.application.revision], [false, 1]);
  const other = await apply("shop", ["eu", "us"], 1);
  assert.equal([other.changed, other.application.revision], [true, 2]);
  assert.equal((await getApplication(database.db, "shop", 1)).spec?.regions, ["eu"]);
  assert.equal((await getApplication(database.db, "shop", 0)).spec?.regions, ["eu", "us"]);
});

test("an expected revision that is not the present one changes nothing", async () => {
  assert.is(await reasonOf(apply("bank", ["eu"], 3)), "REVISION_MISMATCH");
  assert.is(await reasonOf(getApplication(database.db, "bank", 0)), "APPLICATION_NOT_FOUND");
  await apply("bank", ["eu"]);
  assert.is(await reasonOf(apply("bank", ["us"], 2)), "REVISION_MISMATCH");
  assert.is((await getApplication(database.db, "bank", 0)).revision, 1);
  const missing = getApplication(database.db, "bank", 9);
  assert.is(await reasonOf(missing), "APPLICATION_REVISION_NOT_FOUND");
});

test("applied by many at once, each revision is made once", async () => {
  const results = await Promise.all(
    Array.from({ length: 10 }, (_, index) => apply("crowd", [`r${index % 5}`])),
  );
  const revisions = results
    .filter(({ changed }) => changed)
    .map(({ application }) => application.revision)
    .sort((a, b) => a - b);
  assert.equal(
    revisions,
    revisions.map((_, index) => index + 1),
  );
});

test("listed by name, page by page", async () => {
  for (const name of ["list-c", "list-a", "list-b"]) await apply(name, ["eu"]);
  const page = await listApplications(database.db, {
    after: "crowd",
    limit: 2,
    includeRemoved: false,
    among: [],
  });
  assert.equal(
    page.map(({ name }) => name),
    ["list-a", "list-b"],
  );
  const next = await listApplications(database.db, {
    after: "list-b",
    limit: 1,
    includeRemoved: false,
    among: [],
  });
  assert.equal(
    next.map(({ name }) => name),
    ["list-c"],
  );
});

test.run();
