import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  isFinal,
  transition,
  type DeploymentEvent,
  type State,
  type Transition,
} from "../../src/rollout/transition.js";

const hostsFailed = { reason: "HOSTS_FAILED", message: "2 of 3 hosts failed" } as const;
const late = { reason: "DEADLINE_EXCEEDED", message: "1 silent" } as const;

const EVENTS = {
  deployable: { type: "deployable" },
  arrived: { type: "arrived" },
  hostsFailed: { type: "failed", failure: hostsFailed },
  late: { type: "failed", failure: late },
  superseded: { type: "superseded", by: "next" },
} as const satisfies Record<string, DeploymentEvent>;

const MOVES: Partial<Record<State, Partial<Record<keyof typeof EVENTS, Transition>>>> = {
  PENDING: {
    deployable: { state: "RUNNING" },
    late: { state: "FAILED", failure: late },
    superseded: { state: "SUPERSEDED", by: "next" },
  },
  RUNNING: {
    arrived: { state: "SUCCEEDED" },
    hostsFailed: { state: "FAILED", failure: hostsFailed },
    late: { state: "FAILED", failure: late },
    superseded: { state: "SUPERSEDED", by: "next" },
  },
};

const STATES: readonly State[] = ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "SUPERSEDED"];

for (const state of STATES) {
  for (const [name, event] of Object.entries(EVENTS)) {
    const expected = MOVES[state]?.[name as keyof typeof EVENTS];
    test(`${state} × ${name} → ${expected?.state ?? "nothing"}`, () => {
      assert.equal(transition(state, event), expected);
    });
  }
}

test("the final states are the ones that nothing leaves", () => {
  assert.equal(STATES.filter(isFinal), ["SUCCEEDED", "FAILED", "SUPERSEDED"]);
});

test.run();
