import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import process from "node:process";
import type { Readable } from "node:stream";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("inherited descriptors");
const module = new URL("../../src/process/inherited-descriptors.ts", import.meta.url).href;

/** What a shell sees that is started by a process which was given more than the standard three. */
async function seenByGrandchild(first: string): Promise<string[]> {
  const program = `
    import { execFileSync } from "node:child_process";
    import { closeInheritedDescriptors } from ${JSON.stringify(module)};
    ${first}
    process.stdout.write(execFileSync("/bin/ls", ["/proc/self/fd"]));`;
  // Node itself sees to the first sixteen.
  const more = Array.from({ length: 40 }, (_, at) => (at < 39 ? "ignore" : "pipe"));
  const parameters = ["--import", "tsx", "--input-type=module", "--eval", program];
  const stdio = ["ignore", "pipe", "inherit", ...more] as const;
  const child = spawn(process.execPath, parameters, { stdio: [...stdio] });
  return (await text(child.stdout as Readable)).trim().split(/\s+/);
}

test("what a process was given beyond the standard three does not reach what it starts", async () => {
  if (process.platform !== "linux") return;
  assert.ok((await seenByGrandchild("")).includes("42"), "it would");
  const left = await seenByGrandchild("closeInheritedDescriptors();");
  // The fourth is the folder that ls reads.
  assert.equal(left, ["0", "1", "2", "3"]);
});

test.run();
