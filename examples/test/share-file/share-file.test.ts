import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../src/processes/temporary-directory.js";

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL("../../dist/share-file/main.js", import.meta.url));

test("three processes share a file, tell who got what from whom, and end", async () => {
  const directory = await temporaryDirectory("slipway-share-test-");
  try {
    const file = path.join(directory.path, "file");
    const content = randomBytes(20 * 1024 * 1024);
    await writeFile(file, content);
    const { stdout } = await run(process.execPath, [MAIN, file], { timeout: 100_000 });
    const lines = stdout.trim().split("\n");
    assert.match(lines[0] ?? "", /^a seeds .*file as sha256:[0-9a-f]{64}$/);
    const hash = createHash("sha256").update(content).digest("hex");
    for (const [id, other] of [
      ["b", "c"],
      ["c", "b"],
    ]) {
      assert.ok(lines.includes(`${id} has all of it: sha256 ${hash}`));
      const last = lines.findLast((line) => line.startsWith(`${id} 100 %`)) ?? "";
      const parts = new RegExp(`: (.+) MiB from a, (.+) MiB from ${other}$`).exec(last);
      const sum = Number(parts?.[1]) + Number(parts?.[2]);
      assert.ok(Math.abs(sum - 20) < 0.2, last);
    }
  } finally {
    await directory.remove();
  }
});

test("a file that is not there is an error, and leaves nothing running", async () => {
  const error = await run(process.execPath, [MAIN, "/no/such/file"], { timeout: 100_000 }).then(
    () => undefined,
    (reason: { code: number; stderr: string }) => reason,
  );
  assert.is(error?.code, 1);
  assert.match(error?.stderr ?? "", "share-file: ");
});

test.run();
