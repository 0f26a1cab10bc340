import { test } from "uvu";
import * as assert from "uvu/assert";
import { DomainError } from "../src/errors.js";
import { uuidv7 } from "../src/uuid.js";
import { UUID_PATTERN, Violations } from "../src/validate.js";

const isGood = (value: string): boolean => {
  const found = new Violations();
  found.commitSha("commit_sha", value);
  return found.found.length === 0;
};

test("commit SHAs", () => {
  const good = ["a".repeat(40), "0123456789abcdef".repeat(4)];
  const bad = ["", "abc123", "A".repeat(40), "g".repeat(40), "a".repeat(41), "a".repeat(10_000)];
  assert.equal(good.map(isGood), [true, true]);
  assert.ok(!bad.some(isGood));
});

test("violations become one error that names each field", () => {
  const found = new Violations();
  found.name("application", "");
  found.text("submitter", "a\u0000", 255);
  try {
    found.throwIfAny();
    assert.unreachable();
  } catch (error) {
    assert.instance(error, DomainError);
    const { message, violations } = error as DomainError;
    assert.equal(
      violations.map(({ field }) => field),
      ["application", "submitter"],
    );
    assert.match(message, /application: is missing; submitter: must not contain control/);
  }
});

test("UUIDs of version 7 sort in the order they were made", () => {
  const ids = Array.from({ length: 20_000 }, () => uuidv7());
  assert.equal([...ids].sort(), ids);
  assert.is(new Set(ids).size, ids.length);
  for (const id of ids.slice(0, 100)) {
    assert.match(id, UUID_PATTERN);
    assert.match(id, /^.{14}7.{4}[89ab]/);
  }
  assert.ok(uuidv7(0) > (ids.at(-1) ?? ""));
});

test.run();
