import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodePageToken, nextPageToken, pageSize } from "../../src/rpc/page.js";
import { uuidv7 } from "../../src/uuid.js";
import { UUID_PATTERN } from "../../src/validate.js";

const next = (page: readonly string[], limit: number): string =>
  nextPageToken(page, limit, (last) => last);
const tokenOf = (position: string): string => next([position], 1);

test("page tokens", () => {
  const id = uuidv7();
  assert.is(decodePageToken(tokenOf(id), UUID_PATTERN), id);
  assert.is(decodePageToken("", UUID_PATTERN), undefined);
  for (const token of ["x", tokenOf("'; drop table"), "A".repeat(10_000), "💥"]) {
    assert.throws(() => decodePageToken(token, UUID_PATTERN), /page_token/);
  }
});

test("only a full page has a next one, after its last item", () => {
  assert.is(next([], 2), "");
  assert.is(next(["a"], 2), "");
  assert.is(decodePageToken(next(["a", "b"], 2), /^\w$/), "b");
});

test("page sizes", () => {
  assert.is(pageSize(0, { byDefault: 50, most: 100 }), 50);
  assert.is(pageSize(100, { byDefault: 50, most: 100 }), 100);
  assert.throws(() => pageSize(101, { byDefault: 50, most: 100 }), /at most 100/);
});

test.run();
