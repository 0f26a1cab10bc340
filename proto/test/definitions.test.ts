import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PROTO_DIRECTORY, SERVICE_FILES } from "../src/definitions.js";

const folder = fileURLToPath(new URL("..", import.meta.url));

test("every file that defines a service is offered to reflection", () => {
  const files = readdirSync(path.join(folder, "slipway/v1"))
    .map((name) => `slipway/v1/${name}`)
    .filter((file) => /^service /m.test(readFileSync(path.join(folder, file), "utf8")));
  assert.equal([...SERVICE_FILES].sort(), files.sort());
});

test("the built package finds its .proto files", async () => {
  const built = (await import("@slipway/proto")).PROTO_DIRECTORY;
  for (const file of SERVICE_FILES) assert.ok(readFileSync(path.join(built, file)).length > 0);
  assert.not.equal(built, PROTO_DIRECTORY);
});

test.run();
