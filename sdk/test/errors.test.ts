import { Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { setErrorDetails } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { callFailure, SlipwayError } from "../src/errors.js";

function thrown(code: number, details: string, said?: { reason: string }): ServiceError {
  const metadata = new Metadata();
  if (said !== undefined) {
    const violations = [{ field: "commit_sha", description: "too short" }];
    setErrorDetails(metadata, code, details, { ...said, violations });
  }
  return Object.assign(new Error(`${code} ${details}`), { code, details, metadata });
}

const refused =
  "No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1 (2026-01-01T00:00:00.000Z). Resolution note: ";

for (const [what, error, expected] of [
  [
    "refused connection",
    thrown(status.UNAVAILABLE, refused),
    {
      code: "UNAVAILABLE",
      reason: "COORDINATOR_UNREACHABLE",
      retryable: true,
      unsent: true,
      message: "cannot reach the coordinator at c:1: connect ECONNREFUSED 127.0.0.1:1",
    },
  ],
  [
    "refused connection, older wording",
    thrown(status.UNAVAILABLE, "No connection established. Last error: Error: read ECONNRESET"),
    {
      code: "UNAVAILABLE",
      reason: "COORDINATOR_UNREACHABLE",
      retryable: true,
      unsent: true,
      message: "cannot reach the coordinator at c:1: read ECONNRESET",
    },
  ],
  [
    "no cause known",
    thrown(status.UNAVAILABLE, "No connection established. Last error: null"),
    {
      code: "UNAVAILABLE",
      reason: "COORDINATOR_UNREACHABLE",
      retryable: true,
      unsent: true,
      message: "cannot reach the coordinator at c:1: no connection",
    },
  ],
  [
    "broken connection",
    thrown(status.UNAVAILABLE, "Connection dropped"),
    {
      code: "UNAVAILABLE",
      reason: "COORDINATOR_UNREACHABLE",
      retryable: true,
      unsent: false,
      message: "cannot reach the coordinator at c:1: Connection dropped",
    },
  ],
  [
    "reset stream",
    thrown(status.INTERNAL, "Received RST_STREAM with code 2 (Internal server error)"),
    {
      code: "UNAVAILABLE",
      reason: "COORDINATOR_UNREACHABLE",
      retryable: true,
      unsent: false,
      message:
        "cannot reach the coordinator at c:1: Received RST_STREAM with code 2 (Internal server error)",
    },
  ],
  [
    "coordinator that is not ready",
    thrown(status.UNAVAILABLE, "the database is restarting", { reason: "DATABASE_UNAVAILABLE" }),
    {
      code: "UNAVAILABLE",
      reason: "DATABASE_UNAVAILABLE",
      retryable: true,
      unsent: false,
      message: "the database is restarting",
    },
  ],
  [
    "deadline",
    thrown(status.DEADLINE_EXCEEDED, "Deadline exceeded after 1.0s"),
    {
      code: "DEADLINE_EXCEEDED",
      reason: "TIMED_OUT",
      retryable: true,
      unsent: false,
      message: "no answer from the coordinator at c:1 within 1.5 s",
    },
  ],
  [
    "not found",
    thrown(status.NOT_FOUND, "there is no build x", { reason: "BUILD_NOT_FOUND" }),
    {
      code: "NOT_FOUND",
      reason: "BUILD_NOT_FOUND",
      retryable: false,
      unsent: false,
      message: "there is no build x",
    },
  ],
  [
    "too large a message",
    thrown(status.RESOURCE_EXHAUSTED, "Received message larger than max (5 vs. 4)"),
    {
      code: "RESOURCE_EXHAUSTED",
      reason: "",
      retryable: false,
      unsent: false,
      message: "Received message larger than max (5 vs. 4)",
    },
  ],
  [
    "other server",
    thrown(status.UNIMPLEMENTED, "unknown service"),
    {
      code: "UNIMPLEMENTED",
      reason: "",
      retryable: false,
      unsent: false,
      message: "unknown service",
    },
  ],
  [
    "unknown code",
    thrown(99, "odd"),
    { code: "UNKNOWN", reason: "", retryable: false, unsent: false, message: "odd" },
  ],
  [
    "anything else",
    new Error("no token"),
    { code: "UNKNOWN", reason: "", retryable: false, unsent: false, message: "no token" },
  ],
] as const) {
  test(what, () => {
    const { error: mapped, unsent } = callFailure(error, "c:1", 1_500);
    assert.instance(mapped, SlipwayError);
    const { code, reason, retryable, message } = mapped;
    assert.equal({ code, reason, retryable, unsent, message }, expected);
    assert.is(mapped.name, "SlipwayError");
  });
}

test("carries the fields at fault", () => {
  const error = thrown(status.INVALID_ARGUMENT, "bad request", { reason: "INVALID_REQUEST" });
  assert.equal(callFailure(error, "c:1", 1).error.violations, [
    { field: "commit_sha", description: "too short" },
  ]);
});

test.run();
