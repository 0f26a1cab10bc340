import { test } from "uvu";
import * as assert from "uvu/assert";
import { createDisplay, type Display } from "../../src/demo/display.js";

function setUp(isTTY: boolean): { display: Display; written: string[]; clock: { ms: number } } {
  const written: string[] = [];
  const clock = { ms: 0 };
  const output = { isTTY, columns: 40, write: (text: string) => written.push(text) };
  return { display: createDisplay(output, false, () => clock.ms), written, clock };
}

test("plain output says at most one line a second, and never the same twice", () => {
  const { display, written, clock } = setUp(false);
  const activity = display.activity("build");
  activity.update("queued");
  clock.ms = 1_000;
  activity.update("on builder-1");
  clock.ms = 1_500;
  activity.update("on builder-1", "packing");
  clock.ms = 3_000;
  activity.update("on builder-1");
  activity.done("40 MiB");
  assert.equal(written, ["  … build      on builder-1\n", "  ✓ build      40 MiB  3.00 s\n"]);
});

test("a terminal's lines are drawn over", () => {
  const { display, written, clock } = setUp(true);
  const activity = display.activity("deploy");
  clock.ms = 100;
  activity.update("", "eu", "us");
  clock.ms = 110;
  activity.update("", "too soon");
  clock.ms = 300;
  activity.update("x".repeat(100));
  activity.failed();
  assert.is(written.length, 4);
  assert.is(
    written[1],
    "\u001B[1A\u001B[0J  … deploy     \n               eu\n               us\n",
  );
  assert.ok(written[2]?.startsWith("\u001B[3A\u001B[0J"));
  assert.ok((written[2]?.split("\n")[0]?.length ?? 0) < 60);
  assert.is(written[3], "\u001B[1A\u001B[0J  ✗ deploy     \n");
});

test.run();
