import { RegionAgentStatus } from "@slipway/proto";
import type { KV } from "nats";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { thisProcess } from "../../src/process/this-process.js";
import { OwnTwins } from "../../src/region/own-twins.js";
import { log } from "../host/fixtures.js";

const self = thisProcess();
const signal = new AbortController().signal;

/** A bucket whose key holds the sign of life that some process gave last; undefined: it is away. */
function world() {
  const at: { last: [machine: string, time: number] | undefined } = { last: undefined };
  const twins = new OwnTwins(self, log);
  const kv = {
    watch: ({ initializedFn }: { initializedFn: () => void }) => {
      if (at.last === undefined) return Promise.reject(new Error("away"));
      const [machine, time] = at.last;
      const process = { incarnation: machine, machine, address: "", pid: 7 };
      const status = RegionAgentStatus.fromPartial({ process, time: new Date(time) });
      const value = RegionAgentStatus.encode(status).finish();
      return Promise.resolve({
        stop: () => undefined,
        async *[Symbol.asyncIterator]() {
          yield Promise.resolve({ operation: "PUT", value });
          initializedFn();
        },
      });
    },
  } as unknown as KV;
  const look = async (now: number): Promise<string[]> => {
    await twins.look(kv, "eu.eu-1", { now, signal });
    return twins.others(now).map(({ machine }) => machine);
  };
  return { at, look };
}

test("an agent's earlier start is no other one, however often its word is found", async () => {
  const { at, look } = world();
  // Nothing can be written meanwhile, so that it stays.
  at.last = ["before", 1_000];
  for (let now = 10_000; now <= 40_000; now += 6_000) assert.equal(await look(now), []);
});

test("one that goes on writing is another, until it stops", async () => {
  const { at, look } = world();
  at.last = ["m2", 1_000];
  assert.equal(await look(2_000), []);
  at.last = ["m2", 7_000];
  assert.equal(await look(8_000), ["m2"]);
  at.last = [self.incarnation, 10_000];
  assert.equal(await look(14_000), ["m2"]);
  assert.equal(await look(39_000), []);
});

test("what cannot be read keeps nobody from anything", async () => {
  const { at, look } = world();
  assert.equal(await look(1_000), []);
  at.last = ["m2", 7_000];
  assert.equal(await look(7_000), []);
  at.last = ["m2", 13_000];
  assert.equal(await look(13_500), ["m2"]);
});

test.run();
