import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ReleaseSecrets, SecretError } from "../../src/host/secrets.js";
import { eventually, temporaryFolder } from "./fixtures.js";

/** A process that nobody has waited for yet is over as well. */
function isRunning(pid: number): boolean {
  const { status, stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)]);
  return status === 0 && !stdout.toString().trim().startsWith("Z");
}

test("no text is shown that may hold a secret which is not known, or is not any more", async () => {
  const { folder, remove } = await temporaryFolder();
  try {
    const file = path.join(folder, "token");
    await writeFile(file, "first-value");
    const secrets = new ReleaseSecrets({ TOKEN: { source: { $case: "file", value: file } } }, {});
    // Of a release that an earlier agent started.
    assert.not.match(secrets.redact("its token is first-value"), "first-value");
    await secrets.lookUp();
    assert.is(secrets.redact("its token is first-value"), "its token is ***");
    await writeFile(file, "second-value");
    await secrets.lookUp();
    assert.is(secrets.redact("first-value, then second-value"), "***, then ***");
  } finally {
    await remove();
  }
});

test("a command that hangs is given up at its limit, with all that it started", async () => {
  const { folder, remove } = await temporaryFolder();
  let pids: number[] = [];
  try {
    const file = path.join(folder, "pids");
    // Neither of the two ends by being asked to, and the second holds the output open.
    const script = `trap "" TERM; sleep 600 & echo "$$ $!" > ${file}.new; mv ${file}.new ${file}; echo half; wait`;
    const secrets = new ReleaseSecrets(
      { TOKEN: { source: { $case: "command", value: { command: ["sh", "-c", script] } } } },
      { PATH: process.env["PATH"] ?? "" },
      { commandTimeoutMs: 1_000 },
    );
    const error = await secrets.lookUp().catch((reason: unknown) => reason);
    assert.instance(error, SecretError);
    assert.is((error as Error).message, "secret TOKEN cannot be had: no answer in 1000 ms");
    pids = (await readFile(file, "utf8")).trim().split(" ").map(Number);
    assert.is(pids.length, 2);
    await eventually("both to be gone", () => pids.every((pid) => !isRunning(pid)));
    pids = [];
    assert.match(secrets.redact("half"), /not shown/, "nothing of it counts");
  } finally {
    for (const pid of pids.filter(isRunning)) process.kill(pid, "SIGKILL");
    await remove();
  }
});

test("a release without secrets has all of its output shown", () => {
  assert.is(new ReleaseSecrets({}, {}).redact("all of it"), "all of it");
});

test.run();
