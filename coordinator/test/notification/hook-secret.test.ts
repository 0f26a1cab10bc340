import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readHookSecret } from "../../src/notification/hook-secret.js";

const test = suite("hook secret");
let dir: string;
test.before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "slipway-hook-secret-"));
});
test.after(() => rm(dir, { recursive: true, force: true }));

async function read(content: string): Promise<string | undefined> {
  const file = path.join(dir, "secret");
  await writeFile(file, content);
  return readHookSecret(file).catch((error: Error) => error.message);
}

test("without the line end behind it", async () => {
  assert.is(await read("0123456789abcdef"), "0123456789abcdef");
  assert.is(await read("0123456789abcdef\n"), "0123456789abcdef");
  assert.is(await read("0123456789 abcdef\r\n"), "0123456789 abcdef");
  assert.is(await readHookSecret(undefined), undefined);
});

test("one line says why it is none", async () => {
  assert.match((await read("short\n")) ?? "", /must have 16 to 4096 bytes$/);
  assert.match((await read("x".repeat(5_000))) ?? "", /must have 16 to 4096 bytes$/);
  const missing = await readHookSecret(path.join(dir, "none")).catch((error: Error) => error);
  assert.match(String(missing), /none cannot be read: ENOENT/);
});

test.run();
