import { RegionAgentStatus, RegionApplicationStatus } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AGENT_SILENT_AFTER_MS } from "../../src/status/region-agent.js";
import { StatusTable } from "../../src/status/status-table.js";

const START = 1_000_000;

/** A table with a clock of its own, and what it said that changed. */
function create() {
  let now = START;
  const changes: (string | undefined)[] = [];
  const table = new StatusTable(() => now);
  table.subscribe((application) => changes.push(application));
  const pass = (ms: number): void => {
    now += ms;
    table.sweep();
  };
  const beat = (
    agentId: string,
    extra: {
      warming?: boolean;
      ahead?: number;
      term?: number;
      natsAwaySince?: number;
      process?: string;
      twins?: readonly string[];
    } = {},
  ): void => {
    const { warming = false, ahead, term: leaderTerm = 1, natsAwaySince } = extra;
    const { process, twins = [] } = extra;
    const status = RegionAgentStatus.fromPartial({
      region: "eu",
      agentId,
      warming,
      leaderTerm,
      process: process === undefined ? undefined : { incarnation: process },
      twins: twins.map((incarnation) => ({ incarnation })),
      regionNatsAwaySince: natsAwaySince === undefined ? undefined : new Date(natsAwaySince),
      ahead: ahead === undefined ? [] : [{ application: "web", generation: ahead }],
    });
    table.putAgent(status, now);
  };
  const count = (
    agentId: string,
    generation: number,
    hostCount: number,
    at = now,
    leaderTerm = 1,
  ): void => {
    const application = "web";
    const time = new Date(at);
    table.putApplication(
      RegionApplicationStatus.fromPartial({
        region: "eu",
        agentId,
        application,
        generation,
        time,
        hostCount,
        leaderTerm,
      }),
    );
  };
  const progress = (
    generation = 1,
  ): [silent: boolean, warming: boolean, hosts: number | undefined] => {
    const [region] = table.progress("web", generation, ["eu"]);
    if (region === undefined) throw new Error("no region");
    return [region.silent, region.warming, region.status?.hostCount];
  };
  return { table, changes, pass, beat, count, progress, now: () => now };
}

test("a region that was never heard of is silent", () => {
  assert.equal(create().progress(), [true, false, undefined]);
});

test("a region's NATS is away when none of the agents that are heard reaches it", () => {
  const { table, beat, pass } = create();
  const since = (): number | undefined => table.region("eu").natsAwaySince?.getTime();
  assert.is(since(), undefined);
  beat("a", { term: 0, natsAwaySince: START - 9_000 });
  assert.is(since(), START - 9_000);
  beat("b", { term: 3 });
  assert.is(since(), undefined, "one of them reaches it");
  beat("b", { term: 0, natsAwaySince: START - 4_000 });
  assert.is(since(), START - 4_000, "since the last of them has not");
  assert.equal(
    table.progress("web", 1, ["eu"]).map(({ silent, natsAwaySince }) => [silent, natsAwaySince]),
    [[true, new Date(START - 4_000)]],
  );
  pass(AGENT_SILENT_AFTER_MS + 1);
  assert.is(since(), undefined, "what nobody says any more is not known");
});

test("that nothing is heard is told, and that something is again", () => {
  const { table, changes, pass, now } = create();
  table.hearing.note(now());
  pass(1_000);
  changes.length = 0;
  pass(5_000);
  assert.equal([table.unheardSince, changes], [new Date(START), [undefined]]);
  pass(5_000);
  assert.equal([table.unheardSince, changes.length], [new Date(START), 1], "once");
  table.hearing.note(now());
  pass(1_000);
  assert.equal([table.unheardSince, changes.length], [undefined, 2]);
});

test("a region is not blamed before it could be heard again", () => {
  const { table, pass, beat, now } = create();
  table.hearing.note(now());
  beat("a");
  const heardAt = now();
  pass(60_000);
  assert.equal(table.unheardSince, new Date(heardAt));
  table.hearing.note(now());
  pass(1_000);
  assert.equal(table.unheardSince, new Date(heardAt), "NATS is there, and the agent not yet");
  beat("a");
  assert.is(table.unheardSince, undefined, "all are heard again");
  pass(20_000);
  table.hearing.note(now());
  pass(5_000);
  table.hearing.note(now());
  pass(2_000);
  assert.is(table.unheardSince, undefined, "now it is the region's silence");
});

test("counts of the generation asked for are given, no others", () => {
  const { beat, count, progress } = create();
  beat("a");
  count("a", 3, 10);
  assert.equal(progress(3), [false, false, 10]);
  assert.equal(progress(2), [false, false, undefined]);
  assert.equal(progress(4), [false, false, undefined]);
});

test("of several agents' counts the highest term's hold, whatever their clocks say", () => {
  const { beat, count, progress, now } = create();
  beat("a", { term: 7 });
  beat("b", { term: 0 });
  count("a", 1, 10, now() + 60_000, 7);
  assert.equal(progress(), [false, false, 10]);
  beat("b", { term: 8 });
  count("b", 1, 20, now(), 8);
  assert.equal(progress(), [false, false, 20]);
  count("a", 1, 30, now() + 60_000, 7);
  assert.equal(progress(), [false, false, 20]);
});

test("whoever leads says whether the region is warming, and without it the region is silent", () => {
  const { beat, progress, pass } = create();
  beat("a", { term: 7 });
  beat("b", { term: 0, warming: true });
  assert.equal(progress(), [false, false, undefined]);
  beat("b", { term: 8, warming: true });
  assert.equal(progress(), [false, true, undefined]);
  beat("a", { term: 0 });
  beat("b", { term: 0 });
  assert.equal(progress(), [true, false, undefined]);
  beat("b", { term: 9 });
  pass(AGENT_SILENT_AFTER_MS);
  assert.equal(progress(), [false, false, undefined]);
  beat("a", { term: 0 });
  pass(1);
  assert.equal(progress(), [true, false, undefined]);
});

const twinsOf = (table: StatusTable): string[] =>
  table
    .region("eu")
    .agents.flatMap(({ process, twins }) => [process, ...twins])
    .map((process) => process?.incarnation ?? "");

test("an agent's twin that does not lead makes its region neither silent nor a matter of luck", () => {
  const { table, beat, pass, progress, changes } = create();
  beat("a", { process: "one", term: 5 });
  beat("a", { process: "two", term: 0, warming: true });
  changes.length = 0;
  for (let look = 0; look < 12; look += 1) {
    pass(1_000);
    beat("a", { process: "one", term: 5 });
    assert.equal(progress(), [false, false, undefined]);
    if (look >= 6) assert.equal(twinsOf(table), ["one", "two"]);
    pass(1_000);
    beat("a", { process: "two", term: 0, warming: true });
    assert.equal(progress(), [false, false, undefined]);
    if (look >= 6) assert.equal(twinsOf(table), ["one", "two"]);
  }
  assert.equal([table.twins().region, changes], [1, []]);
  for (let look = 0; look < 20; look += 1) {
    pass(2_000);
    beat("a", { process: "one", term: 5 });
  }
  assert.equal([twinsOf(table), table.twins().region], [["one"], 0], "the twin has stopped");
});

test("of twins that hear of each other it is told before it was heard here", () => {
  const { table, beat } = create();
  beat("a", { process: "two", term: 0, twins: ["one"] });
  assert.equal(twinsOf(table), ["two", "one"]);
  beat("a", { process: "one", term: 5 });
  assert.equal(twinsOf(table), ["one", "two"], "who leads first");
});

test("an agent that was started again is one, and silent if it does not lead in time", () => {
  const { table, beat, pass, progress } = create();
  for (let n = 0; n < 10; n += 1) {
    pass(2_000);
    beat("a", { process: "one", term: 5 });
  }
  for (let n = 0; n < 7; n += 1) {
    pass(2_000);
    beat("a", { process: "two", term: 0, warming: true });
    assert.equal(progress(), [false, false, undefined]);
    assert.equal(twinsOf(table), ["two"]);
  }
  pass(1_001);
  assert.equal(progress(), [true, false, undefined]);
  beat("a", { process: "two", term: 6, warming: true });
  assert.equal(progress(), [false, true, undefined]);
});

test("of a process that keeps starting anew not every start is kept", () => {
  const { table, beat, pass } = create();
  for (let n = 0; n < 50; n += 1) {
    beat("a", { process: `start ${n}`, term: 0, ahead: n });
    pass(100);
  }
  assert.equal(twinsOf(table), ["start 49"]);
  assert.is(table.highestGeneration("web"), 49);
});

test("while the agent that leads warms up the region is warming", () => {
  const { beat, count, progress } = create();
  beat("a", { warming: true });
  count("a", 1, 10);
  assert.equal(progress(), [false, true, 10]);
});

test("after 15 s without a sign of life the region is silent, and that is a change", () => {
  const { beat, count, progress, pass, changes } = create();
  beat("a");
  count("a", 1, 10);
  changes.length = 0;
  pass(AGENT_SILENT_AFTER_MS);
  assert.equal([progress(), changes], [[false, false, 10], []]);
  pass(1);
  assert.equal([progress(), changes], [[true, false, 10], [undefined]]);
  beat("a");
  assert.equal([progress(), changes.length], [[false, false, 10], 2]);
});

test("what was there before the watch began is as old as it is", () => {
  const { table, progress } = create();
  const old = RegionAgentStatus.fromPartial({ region: "eu", agentId: "a" });
  table.putAgent(old, START - AGENT_SILENT_AFTER_MS - 1);
  assert.equal(progress(), [true, false, undefined]);
});

test("counts that come before the agent's sign of life are not judged by", () => {
  const { count, progress, table } = create();
  count("a", 1, 10);
  assert.equal(progress(), [true, false, 10]);
  assert.equal(table.region("eu"), { agents: [], silent: true, natsAwaySince: undefined });
});

test("the highest generation is what any agent counts or any host knows", () => {
  const { beat, count, table } = create();
  assert.is(table.highestGeneration("web"), 0);
  beat("a", { ahead: 9 });
  count("b", 4, 1);
  assert.is(table.highestGeneration("web"), 9);
  assert.is(table.highestGeneration("other"), 0);
});

test("what is removed is forgotten", () => {
  const { beat, count, progress, table } = create();
  beat("a");
  count("a", 1, 10);
  table.remove("eu", "a", "web");
  assert.equal(progress(), [false, false, undefined]);
  table.remove("eu", "a");
  assert.equal([progress(), table.regions()], [[true, false, undefined], []]);
});

test("a heartbeat that changes nothing is no change", () => {
  const { beat, changes, pass } = create();
  beat("a");
  changes.length = 0;
  for (let n = 0; n < 5; n += 1) {
    pass(2_000);
    beat("a");
  }
  assert.equal(changes, []);
});

test.run();
