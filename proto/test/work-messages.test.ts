import { test } from "uvu";
import * as assert from "uvu/assert";
import { WorkRequest, WorkResponse } from "../gen/slipway/v1/builder.js";
import { WORK_MESSAGES_MAX } from "../src/names.js";
import {
  answersIn,
  countTogether,
  requestOf,
  responseOf,
  type WorkAnswer,
  type WorkSaying,
} from "../src/work-messages.js";

const lease = { buildId: "b1", attempt: 1 };
const ready: WorkSaying = { $case: "ready", value: { freeSlots: 1, leasesReceived: 2 } };
const heartbeat: WorkSaying = { $case: "heartbeat", value: { leases: [lease] } };
const complete: WorkSaying = {
  $case: "complete",
  value: { lease, artifact: undefined, provenance: Buffer.alloc(0) },
};
const logs: WorkSaying = {
  $case: "logs",
  value: { lease, lines: [], batch: 1, last: true, givenUp: false },
};
const accepted: WorkAnswer = { $case: "accepted", value: { kind: 2, leases: [lease] } };
const leased: WorkAnswer = {
  $case: "leased",
  value: {
    lease,
    application: "a",
    applicationRevision: 1,
    commitSha: "c",
    source: undefined,
    build: undefined,
  },
};

test("one that may be large goes with any number of small ones, within the bound", () => {
  const many = Array.from({ length: WORK_MESSAGES_MAX + 5 }, () => ready);
  const table: [(WorkSaying | WorkAnswer)[], number][] = [
    [[ready], 1],
    [[complete], 1],
    [[complete, ready], 2],
    [[heartbeat, logs, ready], 3],
    [[logs, ready, complete, ready], 2],
    [[logs, logs], 1],
    [[accepted, accepted, leased], 3],
    [[leased, accepted, leased], 2],
    [many, WORK_MESSAGES_MAX],
  ];
  for (const [messages, expected] of table) {
    const names = messages.map(({ $case }) => $case).join();
    assert.is(countTogether(messages), expected, names);
  }
});

test("what goes together arrives as it was said, and one alone as it always did", () => {
  assert.equal(requestOf([ready]), { message: ready });
  const request = WorkRequest.decode(WorkRequest.encode(requestOf([complete, ready])).finish());
  assert.ok(request.message?.$case === "several");
  assert.equal(
    request.message.value.requests.map(({ message }) => message),
    [complete, ready],
  );
  assert.equal(responseOf([leased]), { message: leased });
  const response = WorkResponse.decode(
    WorkResponse.encode(responseOf([accepted, leased])).finish(),
  );
  assert.equal(answersIn(response), [accepted, leased]);
  assert.equal(answersIn({ message: leased }), [leased]);
  assert.equal(answersIn({ message: undefined }), [undefined]);
});

test.run();
