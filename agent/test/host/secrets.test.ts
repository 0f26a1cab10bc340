import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ReleaseSecrets } from "../../src/host/secrets.js";
import { temporaryFolder } from "./fixtures.js";

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

test("a release without secrets has all of its output shown", () => {
  assert.is(new ReleaseSecrets({}, {}).redact("all of it"), "all of it");
});

test.run();
