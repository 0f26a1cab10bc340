import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BufferPool } from "../../src/swarm/buffers.js";

const PAGE = 64 * 1024;

test("what is lent never overlaps, and comes again when it was given back", () => {
  const step = fc.oneof(
    fc.record({ take: fc.integer({ min: 1, max: 5 * PAGE }) }),
    fc.record({ give: fc.nat(20) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pool = new BufferPool(12 * PAGE);
      const lent = new Map<Buffer, number>();
      let mark = 0;
      for (const each of steps) {
        if ("take" in each) {
          const buffer = pool.take(each.take);
          assert.is(buffer.length, each.take);
          assert.instance(buffer.buffer, SharedArrayBuffer);
          buffer.fill(++mark & 0xff);
          lent.set(buffer, mark & 0xff);
        } else {
          const [buffer] = [...lent.keys()].slice(each.give);
          if (buffer === undefined) continue;
          lent.delete(buffer);
          // As a sender may have it, without the room for a header.
          pool.give(buffer.subarray(buffer.length > 13 ? 13 : 0));
        }
        for (const [buffer, value] of lent) {
          assert.ok(buffer[0] === value && buffer.at(-1) === value, "overwritten");
        }
      }
      for (const buffer of lent.keys()) pool.give(buffer);
      const all = pool.take(12 * PAGE);
      assert.is.not(pool.take(1).buffer, all.buffer, "nothing was left in the pool");
      pool.give(all);
      assert.is(pool.take(1).buffer, all.buffer, "and all of it came back");
    }),
  );
});

test.run();
