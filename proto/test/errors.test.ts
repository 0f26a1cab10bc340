import { Metadata, status } from "@grpc/grpc-js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ErrorStatus } from "../gen/slipway/v1/error.js";
import { getErrorDetails, setErrorDetails } from "../src/errors.js";

test("details survive the trailer", () => {
  const trailer = new Metadata();
  const violations = [{ field: "spec.regions", description: "names eu twice" }];
  setErrorDetails(trailer, status.INVALID_ARGUMENT, "bad spec", {
    reason: "INVALID_SPEC",
    violations,
  });
  assert.equal(getErrorDetails(trailer), { reason: "INVALID_SPEC", violations });
});

test("the trailer is what google.rpc readers expect", () => {
  const trailer = new Metadata();
  setErrorDetails(trailer, status.NOT_FOUND, "no build 7", { reason: "NO_BUILD", violations: [] });
  const [bytes] = trailer.get("grpc-status-details-bin");
  const decoded = ErrorStatus.decode(bytes as Buffer);
  assert.is(decoded.code, 5);
  assert.is(decoded.message, "no build 7");
  assert.equal(
    decoded.details.map((detail) => detail.typeUrl),
    ["type.googleapis.com/google.rpc.ErrorInfo"],
  );
});

test("a trailer without details, or with nonsense, gives none", () => {
  assert.is(getErrorDetails(new Metadata()), undefined);
  const nonsense = new Metadata();
  nonsense.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff]));
  assert.is(getErrorDetails(nonsense), undefined);
});

test.run();
