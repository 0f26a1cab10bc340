import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { launch } from "../../src/launcher/launcher.js";
import { VersionFiles } from "../../src/launcher/version-files.js";
import { eventually, log, temporaryFolder } from "./fixtures.js";

test("a version that was confirmed when its launcher was killed is not on trial again", async () => {
  const { folder, remove } = await temporaryFolder();
  const files = new VersionFiles(folder);
  await files.prepare();
  const started = path.join(folder, "started");
  const script = `require("fs").appendFileSync(process.argv[1], "x"); setInterval(() => {}, 1e3)`;
  const command = [process.execPath, "-e", script, started];
  const version = { release: "two", generation: 2, command };
  // Killed between the two: it was written down, and not yet taken from what is to be tried.
  await files.write("current", version);
  await files.write("next", version);
  const controller = new AbortController();
  const launched = launch({
    dataDir: folder,
    self: command,
    args: [],
    environment: {},
    confirmMs: 1,
    log,
    signal: controller.signal,
  });
  await eventually("it to run", () => readFile(started).catch(() => undefined));
  await eventually("it to be tried no more", async () => (await files.read("next")) === undefined);
  controller.abort();
  await launched;
  assert.is(await files.read("failed"), undefined);
  await remove();
});

test.run();
