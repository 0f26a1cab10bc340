import { Metadata } from "@grpc/grpc-js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { getTokenEnd, setTokenEnd } from "../src/index.js";

test("the end of a token goes into a header and comes out of it", () => {
  const metadata = new Metadata();
  assert.is(getTokenEnd(metadata), undefined);
  setTokenEnd(metadata, new Date(1_700_000_000_123));
  assert.equal(getTokenEnd(metadata), new Date(1_700_000_000_123));
});

for (const nonsense of ["", "soon", "9".repeat(41), "2026-13-45T00:00:00Z"]) {
  test(`no end of a token: ${nonsense}`, () => {
    const metadata = new Metadata();
    metadata.set("slipway-token-expire-time", nonsense);
    assert.is(getTokenEnd(metadata), undefined);
  });
}

test.run();
