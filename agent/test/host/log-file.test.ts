import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LogFile } from "../../src/host/log-file.js";
import { temporaryFolder } from "./fixtures.js";

const FILE_BYTES = 256 * 1024;

test("what is written while the log is rotated is kept", async () => {
  const { folder, remove } = await temporaryFolder();
  const log = new LogFile(path.join(folder, "logs"), { fileBytes: FILE_BYTES, files: 3 });
  await log.prepare();
  let written = "";
  const write = (bytes: number): void => {
    const line = `${written.length} `.padEnd(bytes - 1, ".") + "\n";
    written += line;
    appendFileSync(log.path, line);
  };
  write(FILE_BYTES + 1);
  // Whenever the rotation lets others have a turn.
  let rotating = true;
  const keepWriting = (): void => {
    if (!rotating) return;
    write(100);
    setImmediate(keepWriting);
  };
  keepWriting();
  assert.ok(await log.rotate());
  rotating = false;
  const kept = await log.withParts(async ({ parts }) => {
    assert.is(parts.at(-1)?.end, written.length);
    return (await Promise.all(parts.map(({ file }) => readFile(file, "utf8")))).join("");
  });
  assert.ok(kept === written, `${written.length - kept.length} bytes are lost`);
  await remove();
});

test.run();
